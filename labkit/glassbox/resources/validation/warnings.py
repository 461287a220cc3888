"""What is accepted but probably not meant: said in a Warning header, which kubectl prints.

Upstream: pkg/api/{service,persistentvolume,persistentvolumeclaim}/…, pkg/api/node/util.go,
warningsForSecret, endpointsWarnings and fieldIsDeprecatedWarnings in pkg/registry/core/*/strategy.go
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Iterator

from labkit.glassbox import quantity
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import items

# node labels that have newer names
OLD_LABELS = {
    "beta.kubernetes.io/arch": ("v1.14", "kubernetes.io/arch"),
    "beta.kubernetes.io/os": ("v1.14", "kubernetes.io/os"),
    "failure-domain.beta.kubernetes.io/region": ("v1.17", "topology.kubernetes.io/region"),
    "failure-domain.beta.kubernetes.io/zone": ("v1.17", "topology.kubernetes.io/zone"),
    "beta.kubernetes.io/instance-type": ("v1.17", "node.kubernetes.io/instance-type"),
}
# node labels → what is told of them
OUTDATED = {
    **{key: f'deprecated since {since}; use "{new}" instead' for key, (since, new) in OLD_LABELS.items()},
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
# sources of volumes → since when they are not to be used, and do nothing
OLD_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
OF_PODS_ONLY = ("gitRepo", "flocker", "quobyte")
CALLED = {"storageos": "storageOS"}
CLASS = "volume.beta.kubernetes.io/storage-class"
OLD_VOLUME_ANNOTATIONS = {
    CLASS: 'deprecated since v1.8; use "storageClassName" attribute instead',
    "volume.beta.kubernetes.io/mount-options": 'deprecated since v1.31; use "mountOptions" attribute instead',
}
RECYCLE = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
HINTS = "service.kubernetes.io/topology-aware-hints"


def terms(given: Iterable[dict] | None, path: str) -> Iterator[str]:
    for at, each in items(given, path):
        yield from term(each, at)


def term(given: dict, path: str, with_values: bool = False) -> Iterator[str]:
    for at, each in items(given.get("matchExpressions"), f"{path}.matchExpressions"):
        if (key := each.get("key")) in OUTDATED:
            yield f"{at}.key: {key} is {OUTDATED[key]}"
        for where, value in items(each.get("values") if with_values else (), f"{at}.values"):
            yield from (f"{where}: {value} is invalid, {told}" for told in names.label_value(value))


def fractions(
    amounts: dict | None, path: str, counted: tuple[str, ...] = ("memory", "ephemeral-storage")
) -> Iterator[str]:
    """Warn of parts of a byte."""
    for name in counted:
        amount = (amounts or {}).get(name)
        if amount is not None and quantity.parse(amount) * 1000 // 1 % 1000:
            yield f'{path}[{name}]: fractional byte value "{amount}" is invalid, must be an integer'


def address(text: str, path: str) -> Iterator[str]:
    """Warn of an address of IPv6 that is written at length."""
    if ":" in text and not names.address(text) and str(ipaddress.ip_address(text)) != text:
        yield f'{path}: IPv6 address "{text}" should be in RFC 5952 canonical format ("{ipaddress.ip_address(text)}")'


def addresses(text: str, path: str) -> Iterator[str]:
    """Warn of a range of IPv6 that is written at length."""
    if ":" in text and not names.cidr(text) and (short := str(ipaddress.ip_network(text))) != text:
        yield f'{path}: IPv6 CIDR value "{text}" should be in RFC 5952 canonical format ("{short}")'


def service(obj: dict) -> list[str]:
    return list(_service(obj.get("spec") or {}, obj["metadata"].get("annotations") or {}))


def _service(spec: dict, notes: dict) -> Iterator[str]:
    kind, foreign = spec.get("type", "ClusterIP"), spec.get("externalIPs") or []
    headless = kind == "ClusterIP" and spec.get("clusterIP") == "None"
    if HINTS in notes:
        yield f"annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
    for path, each in items(spec.get("clusterIPs"), "spec.clusterIPs"):
        yield from address(each, path)
    if headless:
        affinity = spec.get("sessionAffinity", "None") != "None"
        given = {"loadBalancerIP": spec.get("loadBalancerIP"), "externalIPs": foreign, "SessionAffinity": affinity}
        yield from (f"spec.{field} is ignored for headless services" for field, is_there in given.items() if is_there)
    for path, each in items(foreign, "spec.externalIPs"):
        yield from address(each, path)
    if foreign and not headless and kind != "ExternalName":
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    yield from address(spec.get("loadBalancerIP", ""), "spec.loadBalancerIP")
    for path, each in items(spec.get("loadBalancerSourceRanges"), "spec.loadBalancerSourceRanges"):
        yield from addresses(each, path)
    if kind == "ExternalName" and foreign:
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if kind != "ExternalName" and spec.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def endpoints(obj: dict) -> list[str]:
    found = [
        pair
        for path, subset in items(obj.get("subsets"), "subsets")
        for field in ("addresses", "notReadyAddresses")
        for pair in items(subset.get(field), f"{path}.{field}")
    ]
    return [told for path, each in found for told in address(each.get("ip", ""), f"{path}.ip")]


def claim(obj: dict) -> list[str]:
    return [*_annotations(obj, CLASS), *claimed(obj.get("spec") or {}, "spec")]


def claimed(spec: dict, path: str) -> Iterator[str]:
    for field in ("requests", "limits"):
        yield from fractions(dig(spec, f"resources.{field}"), f"{path}.resources.{field}", ("storage",))


def _annotations(obj: dict, *known: str) -> list[str]:
    notes = obj["metadata"].get("annotations") or {}
    return [f"metadata.annotations[{key}]: {OLD_VOLUME_ANNOTATIONS[key]}" for key in known if key in notes]


def volume(obj: dict) -> list[str]:
    spec, told = obj.get("spec") or {}, _annotations(obj, *OLD_VOLUME_ANNOTATIONS)
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        told.append(f"spec.persistentVolumeReclaimPolicy: {RECYCLE}")
    path = "nodeAffinity.required.nodeSelectorTerms"
    told += terms(dig(spec, path), f"spec.{path}")
    old = {field: each for field, each in OLD_VOLUMES.items() if field in spec and field not in OF_PODS_ONLY}
    return told + [f"spec.{CALLED.get(field, field)}: {each}" for field, each in old.items()]


def node(obj: dict) -> list[str]:
    spec = obj.get("spec") or {}
    told = {
        "configSource": "the feature is removed",
        "externalID": "this field is deprecated, and is unused by Kubernetes",
    }
    return [f"spec.{field}: {each}" for field, each in told.items() if spec.get(field)]


def secret(obj: dict) -> list[str]:
    """Warn of what is no certificate, or no key, in a secret of both."""
    if obj.get("type") != "kubernetes.io/tls":
        return []
    for key, called in (("tls.crt", "certificate"), ("tls.key", "key")):
        if b"-----BEGIN " not in base64.b64decode((obj.get("data") or {}).get(key, "")):
            return [f"tls: failed to find any PEM data in {called} input"]
    return []
