"""What Services must satisfy.

Upstream: ValidateService in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import endpoints, names
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    every,
    forbidden,
    invalid,
    items,
    one_of,
    required,
    unique,
)
from labkit.glassbox.resources.validation.metadata import labels

LONGEST_AFFINITY = 86400  # seconds
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def service(obj: dict, held: str = "") -> Iterator[Cause]:
    """Check a service, which holds that virtual address already."""
    spec = obj.get("spec") or {}
    kind, ports = spec.get("type", "ClusterIP"), spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and not headless and kind != "ExternalName":
        yield required("spec.ports")
    if kind == "ExternalName":
        yield from _external_name(spec)
    seen: set[str] = set()
    yield from every(_port, ports, "spec.ports", len(ports) > 1, seen)
    yield from labels(spec.get("selector"), "spec.selector")
    yield from one_of("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    yield from one_of("spec.type", kind, TYPES)
    yield from _twice(ports, kind)
    yield from _cluster_addresses(spec)
    yield from _traffic(spec, kind)
    by_itself = headless and not spec.get("selector")
    if spec.get("ipFamilyPolicy") == "RequireDualStack" and not by_itself:
        told = "this cluster is not configured for dual-stack services"
        yield invalid("spec.ipFamilyPolicy", "RequireDualStack", told)
    yield from every(_external_address, spec.get("externalIPs"), "spec.externalIPs")
    yield from _families(spec, held)


def _external_address(each: str, path: str) -> Iterator[Cause]:
    yield from list(names.check(names.address, path, each)) or endpoints.not_special(each, path)


def _families(spec: dict, held: str) -> Iterator[Cause]:
    """Refuse IPv6, which this cluster has not; a service that holds an address of IPv4 is told so."""
    families, path = spec.get("ipFamilies") or [], "spec.ipFamilies"
    seen: set[str] = set()
    for at, each in items(families, path):
        yield from one_of(at, each, ("IPv4", "IPv6"))
        yield from unique(at, each, seen)
    if families[:1] == ["IPv6"] and held not in ("", "None"):
        yield invalid("spec.clusterIPs[0]", held, "expected an IPv6 value as indicated by `ipFamilies[0]`")
    elif len(families) == 2 and spec.get("ipFamilyPolicy") == "SingleStack":
        told = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
        yield invalid("spec.ipFamilyPolicy", "SingleStack", told)
    elif spec.get("clusterIP") != "None" or spec.get("selector"):
        yield from (invalid(at, each, "not configured on this cluster") for at, each in items(families, path)
                    if each == "IPv6")  # fmt: skip


def _external_name(spec: dict) -> Iterator[Cause]:
    if spec.get("clusterIPs") or spec.get("clusterIP"):
        yield forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    name = spec.get("externalName", "").removesuffix(".")
    if name:
        yield from names.check(names.dns_subdomain, "spec.externalName", name)
    else:
        yield required("spec.externalName")


def _port(each: dict, path: str, named: bool, seen: set[str]) -> Iterator[Cause]:
    name = each.get("name", "")
    if name:
        yield from names.check(names.dns_label, f"{path}.name", name)
        yield from unique(f"{path}.name", name, seen)
    elif named:
        yield required(f"{path}.name")
    yield from names.check_port(each.get("port", 0), f"{path}.port")
    yield from one_of(f"{path}.protocol", each.get("protocol"), ("SCTP", "TCP", "UDP"))
    if (target := each.get("targetPort")) is not None:
        yield from names.check_port(target, f"{path}.targetPort")


def _cluster_addresses(spec: dict) -> Iterator[Cause]:
    one, listed, path = spec.get("clusterIP"), spec.get("clusterIPs") or [], "spec.clusterIPs"
    if listed and listed[0] != one and spec.get("type") != "ExternalName":
        told = "first value must match `clusterIP`" if one else "must be empty when `clusterIP` is not specified"
        yield invalid(path, listed, told)
    if listed != ["None"]:
        yield from every(lambda each, at: names.check(names.address, at, each), listed, path)


def _traffic(spec: dict, kind: str) -> Iterator[Cause]:
    """Check who is sent where, and who may ask."""
    affinity, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    if affinity == "ClientIP":
        seconds = dig(config or {}, "clientIP.timeoutSeconds")
        if seconds is not None and not 0 < seconds <= LONGEST_AFFINITY:
            told = f"must be greater than 0 and less than {LONGEST_AFFINITY}"
            yield invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, told)
    elif config:
        yield forbidden("spec.sessionAffinityConfig", f"must not be set when session affinity is {affinity or 'None'}")
    yield from one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ("Cluster", "Local"))
    external, path = spec.get("externalTrafficPolicy"), "spec.externalTrafficPolicy"
    if external and kind not in ("NodePort", "LoadBalancer") and not spec.get("externalIPs"):
        yield invalid(path, external, "may only be set for externally-accessible services")
    else:
        yield from one_of(path, external, ("Cluster", "Local"))
    ranges = spec.get("loadBalancerSourceRanges")
    if ranges and kind != "LoadBalancer":
        yield forbidden("spec.loadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
    yield from every(lambda each, at: names.check(names.cidr, at, each), ranges, "spec.loadBalancerSourceRanges")


def _twice(ports: list[dict], kind: str) -> Iterator[Cause]:
    seen: set[tuple] = set()
    for index, each in enumerate(ports):
        if number := each.get("nodePort"):
            path = f"spec.ports[{index}].nodePort"
            if kind == "ClusterIP":
                yield forbidden(path, "may not be used when `type` is 'ClusterIP'")
            elif (each.get("protocol", "TCP"), "node", number) in seen:
                yield duplicate(path, number)
            seen.add((each.get("protocol", "TCP"), "node", number))
        which = (each.get("protocol", "TCP"), each.get("port"))
        if which in seen:
            value = {"port": each.get("port"), "protocol": each.get("protocol", "TCP")}
            yield duplicate(f"spec.ports[{index}]", value)
        seen.add(which)


def kept_address(obj: dict, old: dict) -> Iterator[Cause]:
    """Refuse another virtual address than the one a service once got, unless its type gave it up."""
    new, held = obj.get("spec") or {}, old.get("spec") or {}
    if "ExternalName" in (new.get("type"), held.get("type")) or not held.get("clusterIP"):
        return
    if new.get("clusterIP") != held["clusterIP"]:
        yield invalid("spec.clusterIPs[0]", [new.get("clusterIP", "")], "may not change once set")


def status(given: dict) -> Iterator[Cause]:
    """Check the addresses that a load balancer was given."""
    for at, each in items((given.get("loadBalancer") or {}).get("ingress"), "status.loadBalancer.ingress"):
        if each.get("ip"):
            faults = list(names.check(names.address, f"{at}.ip", each["ip"]))
            yield from faults
            if not faults and each.get("ipMode") is None:
                yield required(f"{at}.ipMode", "must be specified when `ip` is set")
        if each.get("hostname"):
            yield from names.check(names.dns_subdomain, f"{at}.hostname", each["hostname"])
