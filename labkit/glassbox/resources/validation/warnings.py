"""What is accepted but probably not meant: said in a Warning header, which kubectl prints.

Upstream: pkg/api/pod/warnings.go, pkg/api/service/warnings.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import items
from labkit.glassbox.resources.validation.pod_annotations import APP_ARMOR, SECCOMP, SECCOMP_OF

# node labels that have newer names
OLD_LABELS = {
    "beta.kubernetes.io/arch": ("v1.14", "kubernetes.io/arch"),
    "beta.kubernetes.io/os": ("v1.14", "kubernetes.io/os"),
    "failure-domain.beta.kubernetes.io/region": ("v1.17", "topology.kubernetes.io/region"),
    "failure-domain.beta.kubernetes.io/zone": ("v1.17", "topology.kubernetes.io/zone"),
    "beta.kubernetes.io/instance-type": ("v1.17", "node.kubernetes.io/instance-type"),
}


def pod(obj: dict) -> list[str]:
    return list(_pod(obj.get("spec") or {}, obj["metadata"], ""))


def template(obj: dict, path: str) -> list[str]:
    """Warn of a workload's pod template."""
    given = dig(obj, path) or {}
    return list(_pod(given.get("spec") or {}, given.get("metadata") or {}, f"{path}."))


def _pod(spec: dict, meta: dict, prefix: str) -> Iterator[str]:
    notes = meta.get("annotations") or {}
    for key in notes:
        if key.startswith(APP_ARMOR):
            told = 'deprecated since v1.30; use the "appArmorProfile" field instead'
            yield f"{prefix}metadata.annotations[{key}]: {told}"
    for key in spec.get("nodeSelector") or {}:
        if key in OLD_LABELS:
            since, new = OLD_LABELS[key]
            yield f'{prefix}spec.nodeSelector[{key}]: deprecated since {since}; use "{new}" instead'
    for key in notes:
        if key.startswith((SECCOMP, SECCOMP_OF)):
            told = 'non-functional in v1.27+; use the "seccompProfile" field instead'
            yield f"{prefix}metadata.annotations[{key}]: {told}"
    for at, each in items(spec.get("topologySpreadConstraints"), f"{prefix}spec.topologySpreadConstraints"):
        if each.get("labelSelector") is None:
            told = "a null labelSelector results in matching no pod"
            yield f"{at}.labelSelector: {told}"
    for at, each in items(spec.get("imagePullSecrets"), f"{prefix}spec.imagePullSecrets"):
        if not each.get("name"):
            yield f'{at}.name: invalid empty name ""'
    for field in ("initContainers", "containers"):
        for at, each in items(spec.get(field), f"{prefix}spec.{field}"):
            yield from _container(each, at)


def _container(given: dict, path: str) -> Iterator[str]:
    seen: dict[tuple, int] = {}
    for index, each in enumerate(given.get("ports") or []):
        which = (each.get("protocol"), each.get("hostIP"), each.get("containerPort"), each.get("hostPort"))
        if which in seen:
            yield f"{path}.ports[{index}]: duplicate port definition with {path}.ports[{seen[which]}]"
        seen.setdefault(which, index)
    variables: dict[str, int] = {}
    for index, each in enumerate(given.get("env") or []):
        name = each.get("name", "")
        if name in variables:
            yield f'{path}.env[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
        variables.setdefault(name, index)


def pod_names_from(obj: dict) -> list[str]:
    """Warn of a name that makes pod names longer than host names may be."""
    faults = names.dns_label(obj["metadata"].get("name", ""))
    if not faults:
        return []
    told = (
        "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended"
    )
    return [f"metadata.name: {told}: [{' '.join(faults)}]"]


def service(obj: dict) -> list[str]:
    spec = obj.get("spec") or {}
    if spec.get("clusterIP") == "None" and spec.get("externalIPs"):
        return ["spec.externalIPs is ignored for headless services"]
    return []


def claim(obj: dict) -> list[str]:
    return []
