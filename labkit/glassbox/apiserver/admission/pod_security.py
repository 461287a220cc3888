"""PodSecurity: a namespace's labels say how far its pods must be trusted.

`pod-security.kubernetes.io/enforce: baseline` refuses pods that break the standard, `warn` tells whoever makes one, or
makes what will make one. Who sets a stricter label is told which pods break it already; they go on.

Left out: the mode `audit`, which writes to an audit log that there is not.

Upstream: staging/src/k8s.io/pod-security-admission/{admission/admission.go,api/helpers.go}
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from labkit.glassbox import errors, objects
from labkit.glassbox.apiserver.admission.pod_security_checks import LEVELS, violations
from labkit.glassbox.apiserver.objects_at_rest import key, prefix
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.validation.fields import invalid

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
TEMPLATES = {
    **dict.fromkeys(("deployments", "replicasets", "statefulsets", "daemonsets", "jobs"), "spec.template.spec"),
    **{"replicationcontrollers": "spec.template.spec", "podtemplates": "template.spec"},
    "cronjobs": "spec.jobTemplate.spec.template.spec",
}
UNIMPORTANT = ("tolerations", "activeDeadlineSeconds")  # a change of nothing else is not looked at again
VERSION = r"latest|v1\.(0|[1-9][0-9]*)"


def check_pod_security(request: Request, obj: dict, api: Api, old: dict | None = None) -> None:
    """Refuse, or warn of, what a pod must not do. Raises ApiError 403, or 422 for a label that says nothing."""
    plural, subresource = request.resource.called, request.route.subresource
    if plural == "namespaces" and not subresource:
        _check_labels(request, obj, objects.labels(old) if old else {}, api)
    elif plural == "pods" and subresource in ("", "ephemeralcontainers"):
        if old is None or _important(obj) != _important(old):
            _check_pod(request, obj, _labels_of(request, api))
    elif plural in TEMPLATES and not subresource:
        _warn(request, dig(obj, TEMPLATES[plural]), _labels_of(request, api))


def _important(pod: dict) -> dict:
    return {field: value for field, value in pod["spec"].items() if field not in UNIMPORTANT}


def _labels_of(request: Request, api: Api) -> dict[str, str]:
    row = api.store.get(key(REGISTRY.find("namespaces"), "", request.route.namespace))
    if row is None or PREFIX.encode() not in row.value:
        return {}
    return objects.labels(orjson.loads(row.value))


def policy(labels: dict[str, str], mode: str) -> tuple[str, str]:
    """Return (level, version) of a mode; what is not warned of by a label of its own is warned of as it is enforced."""
    if mode == "warn" and PREFIX + mode not in labels:
        mode = "enforce"
    return labels.get(PREFIX + mode, "privileged"), labels.get(f"{PREFIX}{mode}-version", "latest")


def _check_pod(request: Request, pod: dict, labels: dict[str, str]) -> None:
    level, version = policy(labels, "enforce")
    if found := violations(level, pod["spec"], version):
        why = f'violates PodSecurity "{level}:{version}": {", ".join(found)}'
        raise errors.forbidden("pods", pod["metadata"].get("name", ""), why)
    _warn(request, pod["spec"], labels)


def _warn(request: Request, spec: dict | None, labels: dict[str, str]) -> None:
    level, version = policy(labels, "warn")
    if spec and (found := violations(level, spec, version)):
        request.warnings.append(f'would violate PodSecurity "{level}:{version}": {", ".join(found)}')


# --- the labels


def _check_labels(request: Request, namespace: dict, before: dict[str, str], api: Api) -> None:
    labels = objects.labels(namespace)
    if labels != before and (causes := list(_faults(labels))):
        raise errors.invalid("Namespace", "", objects.name(namespace), causes)
    level, version = policy(labels, "enforce")
    if request.method != "POST" and level != "privileged" and (level, version) != policy(before, "enforce"):
        request.warnings.extend(_of_existing(objects.name(namespace), level, version, api))


def _faults(labels: dict[str, str]) -> Iterator[Cause]:
    for name in (PREFIX + mode for mode in MODES):
        if labels.get(name, "privileged") not in LEVELS:
            yield invalid(f"metadata.labels[{name}]", labels[name], "must be one of privileged, baseline, restricted")
        version = labels.get(f"{name}-version", "latest")
        if not re.fullmatch(VERSION, version):
            yield invalid(f"metadata.labels[{name}-version]", version, 'must be "latest" or "v1.x"')


def _of_existing(namespace: str, level: str, version: str, api: Api) -> list[str]:
    """Return which pods there are that break the level, those that do alike in one line."""
    alike: dict[str, list[str]] = {}
    for row in api.store.rows(prefix(REGISTRY.find("pods"), namespace))[0]:
        pod = orjson.loads(row.value)
        if reasons := ", ".join(told.partition(" (")[0] for told in violations(level, pod["spec"], version)):
            alike.setdefault(reasons, []).append(objects.name(pod))
    if not alike:
        return []
    told = f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{level}:{version}"'
    return [told, *sorted(f"{_and_others(names)}: {reasons}" for reasons, names in alike.items())]


def _and_others(names: list[str]) -> str:
    others = len(names) - 1
    return names[0] + (f" (and {others} other pod{'s' if others > 1 else ''})" if others else "")
