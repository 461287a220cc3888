"""What Services must satisfy.

Upstream: ValidateService in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import endpoints, names
from labkit.glassbox.resources.validation.fields import (
    IMMUTABLE,
    duplicate,
    every,
    forbidden,
    invalid,
    items,
    one_of,
    required,
    unique,
)
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.metadata import labels

LONGEST_AFFINITY = 86400  # seconds
KUBELET = 10250  # its port
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
NEARNESS = ("PreferClose", "PreferSameZone", "PreferSameNode")
BALANCERS_ONLY = "may only be used when `type` is 'LoadBalancer'"


def service(obj: dict, held: str = "") -> Iterator[Cause]:
    """Check a service, which holds that virtual address already."""
    spec = obj.get("spec") or {}
    kind, ports = spec.get("type", "ClusterIP"), spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and not headless and kind != "ExternalName":
        yield required("spec.ports")
    if kind == "ExternalName":
        yield from _external_name(spec)
    elif headless and kind in ("LoadBalancer", "NodePort"):
        yield invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    for at, each in items(ports if kind == "LoadBalancer" else (), "spec.ports"):
        if each.get("port") == KUBELET:
            yield invalid(at, KUBELET, f"may not expose port {KUBELET} externally since it is used by kubelet")
    seen: set[str] = set()
    yield from every(_port, ports, "spec.ports", len(ports) > 1, seen)
    yield from labels(spec.get("selector"), "spec.selector")
    yield from one_of("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    yield from _affinity(spec)
    yield from _cluster_addresses(spec)
    yield from one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), FAMILY_POLICIES)
    by_itself = headless and not spec.get("selector")
    if spec.get("ipFamilyPolicy") == "RequireDualStack" and not by_itself:
        told = "this cluster is not configured for dual-stack services"
        yield invalid("spec.ipFamilyPolicy", "RequireDualStack", told)
    yield from _families(spec, held)
    yield from every(_external_address, spec.get("externalIPs"), "spec.externalIPs")
    yield from one_of("spec.type", kind, TYPES)
    yield from _twice(ports, kind)
    yield from _balancer(spec, kind)
    yield from _traffic(spec, kind)


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
    if each.get("appProtocol") is not None:
        yield from names.check(names.qualified_name, f"{path}.appProtocol", each["appProtocol"])


def _cluster_addresses(spec: dict) -> Iterator[Cause]:
    one, listed, path = spec.get("clusterIP"), spec.get("clusterIPs") or [], "spec.clusterIPs"
    if listed and listed[0] != one and spec.get("type") != "ExternalName":
        told = "first value must match `clusterIP`" if one else "must be empty when `clusterIP` is not specified"
        yield invalid(path, listed, told)
    if listed != ["None"]:
        yield from every(lambda each, at: names.check(names.address, at, each), listed, path)


def _affinity(spec: dict) -> Iterator[Cause]:
    seconds = dig(spec, "sessionAffinityConfig.clientIP.timeoutSeconds")
    if spec.get("sessionAffinity") == "ClientIP" and seconds is not None and not 0 < seconds <= LONGEST_AFFINITY:
        told = f"must be greater than 0 and less than {LONGEST_AFFINITY}"
        yield invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, told)


def _balancer(spec: dict, kind: str) -> Iterator[Cause]:
    """Check what is for load balancers alone; upstream's path of the ranges is Go's name."""
    path, ranges = "spec.LoadBalancerSourceRanges", spec.get("loadBalancerSourceRanges")
    if ranges and kind != "LoadBalancer":
        yield forbidden(path, BALANCERS_ONLY)
    yield from every(lambda each, at: names.check(names.cidr, at, each.strip()), ranges, path)
    if spec.get("allocateLoadBalancerNodePorts") is not None and kind != "LoadBalancer":
        yield forbidden("spec.allocateLoadBalancerNodePorts", BALANCERS_ONLY)
    yield from balancer_class(spec, kind)


def balancer_class(spec: dict, kind: str) -> Iterator[Cause]:
    given, path = spec.get("loadBalancerClass"), "spec.loadBalancerClass"
    if given is not None and kind != "LoadBalancer":
        yield forbidden(path, BALANCERS_ONLY)
    elif given is not None:
        yield from names.check(names.qualified_name, path, given)


def _traffic(spec: dict, kind: str) -> Iterator[Cause]:
    """Check who is sent where, and who may ask."""
    external, path = spec.get("externalTrafficPolicy"), "spec.externalTrafficPolicy"
    if external and kind not in ("NodePort", "LoadBalancer") and not spec.get("externalIPs"):
        yield invalid(path, external, "may only be set for externally-accessible services")
    else:
        yield from one_of(path, external, ("Cluster", "Local"))
    if spec.get("healthCheckNodePort") and not is_health_checked(spec):
        told = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid("spec.healthCheckNodePort", spec["healthCheckNodePort"], told)
    yield from one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ("Cluster", "Local"))
    yield from one_of("spec.trafficDistribution", spec.get("trafficDistribution"), NEARNESS)


def is_health_checked(spec: dict) -> bool:
    """Tell whether a load balancer asks each node if it has one of the pods."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


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
            shown = struct("ServicePort", {"port": each.get("port"), "protocol": each.get("protocol", "TCP")})
            yield duplicate(f"spec.ports[{index}]", shown)
        seen.add(which)


def kept_address(obj: dict, old: dict) -> Iterator[Cause]:
    """Refuse another virtual address than the one a service once got, unless its type gave it up."""
    new, held = obj.get("spec") or {}, old.get("spec") or {}
    if "ExternalName" in (new.get("type"), held.get("type")) or not held.get("clusterIP"):
        return
    if new.get("clusterIP") != held["clusterIP"]:
        yield invalid("spec.clusterIPs[0]", [new.get("clusterIP", "")], "may not change once set")


def kept_balancer(obj: dict, old: dict) -> Iterator[Cause]:
    """Refuse a load balancer another class, or another port at which nodes are asked."""
    new, held = obj.get("spec") or {}, old.get("spec") or {}
    both = new.get("type") == held.get("type") == "LoadBalancer"
    if both and new.get("loadBalancerClass") != held.get("loadBalancerClass"):
        yield invalid("spec.loadBalancerClass", new.get("loadBalancerClass"), "may not change once set")
    yield from balancer_class(new, new.get("type", "ClusterIP"))
    ports = [each.get("healthCheckNodePort") for each in (new, held)]
    if is_health_checked(new) and is_health_checked(held) and ports[0] != ports[1]:
        yield forbidden("spec.healthCheckNodePort", IMMUTABLE)


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
