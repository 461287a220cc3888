"""The roles and bindings that each cluster has from the beginning, brought back at each start.

bootstrap_policy.yaml says which, glassbox_policy.yaml adds those of the kit's own components. What is missing is made;
a role that has lost rules, a binding that has lost subjects, gets them back, unless it is annotated with
AUTO_UPDATE: "false". More than that nobody loses.

Invariant: all of it is one transaction of the store, before the first request: a start must not wait for 150 writes.

Upstream: pkg/registry/rbac/rest/storage_rbac.go, …/rbac/reconciliation
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import orjson

from labkit.glassbox import clock
from labkit.glassbox.apiserver.objects_at_rest import encode, key
from labkit.glassbox.clock import Clock
from labkit.glassbox.resources import Resource
from labkit.glassbox.resources.rbac import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, GROUP, ROLE_BINDINGS, ROLES
from labkit.glassbox.store import Store

POLICIES = ("bootstrap_policy.yaml", "glassbox_policy.yaml")
AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
CONTROLLER = "system:controller:"
ALIASES = {"read": "get list watch", "write": "create delete deletecollection patch update"}
EVENTS = {"verbs": ["create", "patch", "update"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"]}


def reconcile(store: Store, clock_: Clock) -> None:
    """Bring roles and bindings to what the policies say."""
    now = clock.rfc3339(clock_.now())
    with store.transaction():
        for name in POLICIES:
            for resource, namespace, obj in expand(_load(Path(__file__).with_name(name))):
                _ensure(store, resource, namespace, obj, now)


def _load(path: Path) -> dict:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
    return yaml.load(path.read_bytes(), Loader=loader)


def _ensure(store: Store, resource: Resource, namespace: str, obj: dict, now: str) -> None:
    at = key(resource, namespace, obj["metadata"]["name"])
    row = store.get(at)
    if row is None:
        where = {"namespace": namespace} if namespace else {}
        meta = {**obj["metadata"], **where, "uid": str(uuid.uuid4()), "creationTimestamp": now}
        store.append(at, encode(resource, {**obj, "metadata": meta}, store.revision + 1), expect=0)
    elif (changed := completed(orjson.loads(row.value), obj)) is not None:
        store.append(at, encode(resource, changed, store.revision + 1), expect=row.revision)


def completed(held: dict, wanted: dict) -> dict | None:
    """Return an object with what it lacks of what the policy says, None if it lacks nothing or must not be touched."""
    meta = held["metadata"]
    if (meta.get("annotations") or {}).get(AUTO_UPDATE) == "false":
        return None
    changed = dict(held)
    for field in ("rules", "subjects"):
        lacking = [each for each in wanted.get(field) or () if each not in (held.get(field) or ())]
        if lacking and not wanted.get("aggregationRule"):
            changed[field] = [*(held.get(field) or ()), *lacking]
    for field in ("labels", "annotations"):
        changed["metadata"] = {**changed["metadata"], field: {**(meta.get(field) or {}), **wanted["metadata"][field]}}
    return changed if changed != held else None


# --- from the policy's shorthand to objects


def expand(policy: dict) -> Iterator[tuple[Resource, str, dict]]:
    """Yield (resource, namespace, object) for all that a policy says."""
    targets = policy.get("aggregate_to") or {}
    for name in policy.get("aggregated") or ():
        selector = {"matchLabels": {f"{AGGREGATE}{name}": "true"}}
        rule = {"rules": None, "aggregationRule": {"clusterRoleSelectors": [selector]}}
        yield CLUSTER_ROLES, "", {"metadata": _meta(name, targets.get(name)), **rule}
    controllers = {f"{CONTROLLER}{name}": rules for name, rules in (policy.get("controllers") or {}).items()}
    for name, rules in {**(policy.get("cluster_roles") or {}), **controllers}.items():
        yield CLUSTER_ROLES, "", {"metadata": _meta(name, targets.get(name)), "rules": _rules(rules)}
    accounts = {name: [f"ServiceAccount kube-system/{name.removeprefix(CONTROLLER)}"] for name in controllers}
    for name, subjects in {**(policy.get("cluster_role_bindings") or {}), **accounts}.items():
        yield CLUSTER_ROLE_BINDINGS, "", _binding(name, "ClusterRole", name, subjects)
    for namespace, roles in (policy.get("roles") or {}).items():
        for name, rules in roles.items():
            yield ROLES, namespace, {"metadata": _meta(name), "rules": _rules(rules)}
    for namespace, bindings in (policy.get("role_bindings") or {}).items():
        for name, (role, *subjects) in bindings.items():
            yield ROLE_BINDINGS, namespace, _binding(name, "Role", role, subjects)


def _meta(name: str, aggregate_to: str | None = None) -> dict:
    labels = {**LABELS, **({f"{AGGREGATE}{aggregate_to}": "true"} if aggregate_to else {})}
    return {"name": name, "labels": labels, "annotations": {AUTO_UPDATE: "true"}}


def _binding(name: str, kind: str, role: str, subjects: list[str]) -> dict:
    listed = {"subjects": [_subject(each) for each in subjects]} if subjects else {}
    return {"metadata": _meta(name), **listed, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}}


def _subject(text: str) -> dict:
    kind, _, name = text.partition(" ")
    if kind != "ServiceAccount":
        return {"kind": kind, "apiGroup": GROUP, "name": name}
    namespace, _, account = name.partition("/")
    return {"kind": kind, "name": account, "namespace": namespace}


def _rules(texts: list[str]) -> list[dict]:
    return [rule_of(text) for text in texts]


def rule_of(text: str) -> dict:
    """Return the rule that a line of the policy stands for."""
    if text == "events":
        return EVENTS
    verbs, *rest = (part.split() for part in text.split("|"))
    spelled = sorted(verb for each in verbs for verb in ALIASES.get(each, each).split())
    if len(rest) == 1:
        return {"verbs": spelled, "nonResourceURLs": sorted(rest[0])}
    groups = sorted("" if each == "core" else each for each in rest[0])
    named = {"resourceNames": sorted(rest[2])} if len(rest) > 2 else {}
    return {"verbs": spelled, "apiGroups": groups, "resources": sorted(rest[1]), **named}
