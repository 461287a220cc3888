"""What roles and their bindings must be like.

Upstream: pkg/apis/rbac/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import metadata, names
from labkit.glassbox.resources.validation.fields import every, invalid, required, unsupported

GROUP = "rbac.authorization.k8s.io"


def role(obj: dict) -> Iterator[Cause]:
    yield from every(rule, obj.get("rules"), "rules", True)


def cluster_role(obj: dict) -> Iterator[Cause]:
    yield from every(rule, obj.get("rules"), "rules", False)
    if (aggregation := obj.get("aggregationRule")) is not None:
        path = "aggregationRule.clusterRoleSelectors"
        if not aggregation.get("clusterRoleSelectors"):
            yield required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
        yield from every(metadata.label_selector, aggregation.get("clusterRoleSelectors"), path)


def rule(given: dict, path: str, namespaced: bool) -> Iterator[Cause]:
    if not given.get("verbs"):
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    if urls := given.get("nonResourceURLs"):
        if namespaced:
            yield invalid(f"{path}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
        if given.get("apiGroups") or given.get("resources") or given.get("resourceNames"):
            told = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid(f"{path}.nonResourceURLs", urls, told)
        return
    if not given.get("apiGroups"):
        yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not given.get("resources"):
        yield required(f"{path}.resources", "resource rules must supply at least one resource")


def role_binding(obj: dict) -> Iterator[Cause]:
    yield from role_reference(obj["roleRef"], ("Role", "ClusterRole"))
    yield from every(subject, obj.get("subjects"), "subjects", True)


def cluster_role_binding(obj: dict) -> Iterator[Cause]:
    yield from role_reference(obj["roleRef"], ("ClusterRole",))
    yield from every(subject, obj.get("subjects"), "subjects", False)


def role_reference(given: dict, kinds: tuple[str, ...]) -> Iterator[Cause]:
    if given.get("apiGroup") != GROUP:
        yield unsupported("roleRef.apiGroup", given.get("apiGroup", ""), (GROUP,))
    if given.get("kind") not in kinds:
        yield unsupported("roleRef.kind", given.get("kind", ""), kinds)
    yield from names.needed(names.path_segment, "roleRef.name", given.get("name", ""))


def subject(given: dict, path: str, namespaced: bool) -> Iterator[Cause]:
    name, group, kind = given.get("name", ""), given.get("apiGroup", ""), given.get("kind", "")
    if not name:
        yield required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            yield from names.check(names.dns_subdomain, f"{path}.name", name)
        if group:
            yield unsupported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not given.get("namespace"):
            yield required(f"{path}.namespace")
    elif kind not in ("User", "Group"):
        yield unsupported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))
    elif group != GROUP:
        yield unsupported(f"{path}.apiGroup", group, (GROUP,))
