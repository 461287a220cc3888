"""What of a pod is accepted but probably not meant: see warnings.py.

Upstream: pkg/api/pod/warnings.go
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import items
from labkit.glassbox.resources.validation.pod_annotations import APP_ARMOR, SECCOMP, SECCOMP_OF
from labkit.glassbox.resources.validation.warnings import (
    CALLED,
    OLD_VOLUMES,
    OUTDATED,
    address,
    claimed,
    fractions,
    term,
    terms,
)

OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": ("v1.16", "priorityClassName"),
    "security.alpha.kubernetes.io/sysctls": ("v1.11", "sysctls"),
    "security.alpha.kubernetes.io/unsafe-sysctls": ("v1.11", "sysctls"),
}
NEGATIVE_GRACE = "must be >= 0; negative values are invalid and will be treated as 1"
NO_SELECTOR = "a null labelSelector results in matching no pod"
REQUIRED, PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))


def pod(obj: dict) -> list[str]:
    of_name = _no_label(obj, "the Pod's hostname")
    return [*of_name, *_pod(obj.get("spec") or {}, obj["metadata"], "")]


def template(obj: dict, path: str) -> list[str]:
    """Warn of a workload's pod template."""
    given = dig(obj, path) or {}
    return list(_pod(given.get("spec") or {}, given.get("metadata") or {}, f"{path}."))


def _pod(spec: dict, meta: dict, prefix: str) -> Iterator[str]:
    at, notes = f"{prefix}spec", {f"{prefix}metadata.annotations[{k}]": k for k in meta.get("annotations") or {}}
    if not prefix:
        yield from _app_armor(notes)
    yield from _labels_of_nodes(spec, at)
    for path, key in notes.items():
        if key in OLD_ANNOTATIONS:
            since, field = OLD_ANNOTATIONS[key]
            yield f'{path}: non-functional in {since}+; use the "{field}" field instead'
    yield from _old_volumes(spec, at)
    yield from _overlaps(spec)
    yield from _twice(spec.get("hostAliases"), f"{at}.hostAliases", "ip")
    yield from _twice(spec.get("imagePullSecrets"), f"{at}.imagePullSecrets", "name")
    for path, each in items(spec.get("imagePullSecrets"), f"{at}.imagePullSecrets"):
        if not each.get("name"):
            yield f'{path}.name: invalid empty name ""'
    yield from fractions(spec.get("overhead"), f"{at}.overhead")
    yield from _seccomp(notes, SECCOMP, spec)
    for path, each in _containers(spec, at):
        yield from _seccomp(notes, SECCOMP_OF + each.get("name", ""), each)
        if prefix and not dig(each, "securityContext.appArmorProfile"):
            yield from (
                _app_armor(notes, each.get("name", "")) if not dig(spec, "securityContext.appArmorProfile") else ()
            )
        for field in ("limits", "requests"):
            yield from fractions(dig(each, f"resources.{field}"), f"{path}.resources.{field}")
        yield from _variables(each.get("env") or [], f"{path}.env")
    yield from _ports(
        [pair for path, each in _containers(spec, at) for pair in items(each.get("ports"), f"{path}.ports")]
    )
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        yield f"{at}.terminationGracePeriodSeconds: {NEGATIVE_GRACE}"
    for kind in ("podAffinity", "podAntiAffinity"):
        for field, inner in ((REQUIRED, ""), (PREFERRED, ".podAffinityTerm")):
            for path, each in items(dig(spec, f"affinity.{kind}.{field}"), f"{at}.affinity.{kind}.{field}"):
                if (each.get("podAffinityTerm") or {} if inner else each).get("labelSelector") is None:
                    yield f"{path}{inner}.labelSelector: {NO_SELECTOR}"
    for path, each in items(dig(spec, "dnsConfig.nameservers"), f"{at}.dnsConfig.nameservers"):
        yield from address(each, path)
    for path, each in items(spec.get("hostAliases"), f"{at}.hostAliases"):
        yield from address(each.get("ip", ""), f"{path}.ip")


def _containers(spec: dict, path: str) -> Iterator[tuple[str, dict]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from items(spec.get(field), f"{path}.{field}")


def _app_armor(notes: dict[str, str], container: str = "") -> Iterator[str]:
    for path, key in notes.items():
        if key.startswith(APP_ARMOR) and container in ("", key.removeprefix(APP_ARMOR)):
            yield f'{path}: deprecated since v1.30; use the "appArmorProfile" field instead'


def _seccomp(notes: dict[str, str], note: str, given: dict) -> Iterator[str]:
    """Warn of an annotation that does what a field of the pod, or of a container, does not."""
    if not dig(given, "securityContext.seccompProfile"):
        told = 'non-functional in v1.27+; use the "seccompProfile" field instead'
        yield from (f"{path}: {told}" for path, key in notes.items() if key == note)


def _labels_of_nodes(spec: dict, path: str) -> Iterator[str]:
    """Warn of where a pod is to run that is told by labels that nodes have no longer."""
    for key in spec.get("nodeSelector") or {}:
        if key in OUTDATED:
            yield f"{path}.nodeSelector[{key}]: {OUTDATED[key]}"
    affinity, at = dig(spec, "affinity.nodeAffinity") or {}, f"{path}.affinity.nodeAffinity"
    yield from terms(dig(affinity, f"{REQUIRED}.nodeSelectorTerms"), f"{at}.{REQUIRED}.nodeSelectorTerms")
    for where, each in items(affinity.get(PREFERRED), f"{at}.{PREFERRED}"):
        yield from term(each.get("preference") or {}, f"{where}.preference", with_values=True)
    for where, each in items(spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints"):
        if (key := each.get("topologyKey")) in OUTDATED:
            yield f"{where}.topologyKey: {key} is {OUTDATED[key]}"
        if each.get("labelSelector") is None:
            yield f"{where}.labelSelector: {NO_SELECTOR}"


def _old_volumes(spec: dict, path: str) -> Iterator[str]:
    for at, each in items(spec.get("volumes"), f"{path}.volumes"):
        yield from (f"{at}.{CALLED.get(field, field)}: {told}" for field, told in OLD_VOLUMES.items() if field in each)
        if (wanted := dig(each, "ephemeral.volumeClaimTemplate.spec")) is not None:
            yield from claimed(wanted, f"{at}.ephemeral.volumeClaimTemplate.spec")


def _overlaps(spec: dict) -> Iterator[str]:
    """Warn of files of one volume that lie at, or below, each other's paths."""
    for each in spec.get("volumes") or []:
        name, parts = json.dumps(each.get("name", "")), dig(each, "projected.sources") or []
        for called, paths in _files(each):
            yield from (f"volume {name} ({called}): overlapping paths: {told}" for told in _clashes([("", paths)]))
        yield from (f"volume {name} (Projected) has no sources provided" for part in parts if not part)
        projected = [pair for part in parts for pair in _files(part)]
        yield from (f"volume {name} (Projected): overlapping paths: {told}" for told in _clashes(projected))


def _files(given: dict) -> Iterator[tuple[str, list[str]]]:
    """Yield what a volume, or a part of a projected one, takes named files from, and their paths."""
    for field, called in (("configMap", "ConfigMap"), ("secret", "Secret"), ("downwardAPI", "DownwardAPI")):
        inner = given.get(field) or {}
        if inner.get("items"):
            named = inner.get("name") or inner.get("secretName") or ""
            label = called if field == "downwardAPI" else f"{called} {json.dumps(named)}"
            yield label, [each.get("path", "") for each in inner["items"]]
    if token := given.get("serviceAccountToken"):
        yield "ServiceAccountToken", [token.get("path", "")]


def _clashes(given: list[tuple[str, list[str]]]) -> Iterator[str]:
    seen: list[tuple[str, str]] = []
    for path, source in ((path.rstrip("/"), source) for source, paths in given for path in paths):
        for other in seen if path else ():
            if other[0] and (f"{other[0]}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other[0]}/")):
                yield f"{_located(path, source)} with {_located(*other)}"
        seen.append((path, source))


def _located(path: str, source: str) -> str:
    return f"{json.dumps(path)} ({source})" if source else json.dumps(path)


def _twice(given: list[dict] | None, path: str, field: str) -> Iterator[str]:
    seen: set[str] = set()
    for at, each in items(given, path):
        value = each.get(field, "")
        if value in seen:
            yield f"{at}.{field}: duplicate {field} {json.dumps(value)}"
        seen.add(value)


def _variables(given: list[dict], path: str) -> Iterator[str]:
    """Warn of a variable that hides one before it, unless it is made of that."""
    seen: set[str] = set()
    for at, each in items(given, path):
        name, value = each.get("name", ""), each.get("value", "")
        before = f"$({name})"
        if name in seen and (each.get("valueFrom") or value == before or before not in value):
            yield f'{at}: hides previous definition of "{name}", which may be dropped when using apply'
        seen.add(name)


def _ports(given: list[tuple[str, dict]]) -> Iterator[str]:
    """Warn of ports of a pod's containers that are the same, or on its node almost the same."""
    for index, (path, port) in enumerate(given):
        host, ip = port.get("hostPort", 0), port.get("hostIP", "")
        if ip and not host:
            told = f"{{Name:{port.get('name', '')} HostPort:0 ContainerPort:{port.get('containerPort', 0)}"
            yield f"{path}: hostIP set without hostPort: {told} Protocol:{port.get('protocol', '')} HostIP:{ip}}}"
        for where, other in given[:index]:
            if any(port.get(field) != other.get(field) for field in ("containerPort", "protocol")):
                continue
            others_host, others_ip = other.get("hostPort", 0), other.get("hostIP", "")
            if (host, ip) == (others_host, others_ip):
                yield f"{path}: duplicate port definition with {where}"
            elif not host or not others_host:
                yield f"{path}: overlapping port definition with {where}"
            elif host == others_host and bool(ip) != bool(others_ip):
                yield f"{path}: dangerously ambiguous port definition with {where}"
    named: dict[str, str] = {}
    for path, port in given:
        if (name := port.get("name")) and (first := named.setdefault(name, path)) != path:
            told = f"services and probes that select ports by name will use {first}"
            yield f'{path}: duplicate port name "{name}" with {first}, {told}'


def pod_names_from(obj: dict) -> list[str]:
    """Warn of a name that makes pod names longer than host names may be."""
    return _no_label(obj, "Pod names and hostnames")


def _no_label(obj: dict, used: str) -> list[str]:
    faults = names.dns_label(obj["metadata"].get("name", ""))
    told = f"this is used in {used}, which can result in surprising behavior; a DNS label is recommended"
    return [f"metadata.name: {told}: [{' '.join(faults)}]"] if faults else []
