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
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
NEARNESS = ("PreferClose", "PreferSameZone", "PreferSameNode")
HINTS, MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
NOT_EXTERNAL = "may not be set for ExternalName services"
BALANCERS_ONLY = "may only be used when `type` is 'LoadBalancer'"


def service(obj: dict, held: str = "") -> Iterator[Cause]:
    """Check a service, which holds that virtual address already."""
    spec, notes = obj.get("spec") or {}, obj["metadata"].get("annotations") or {}
    kind, ports = spec.get("type", "ClusterIP"), spec.get("ports") or []
    hints, mode = notes.get(HINTS), notes.get(MODE)
    if hints is not None and mode is not None and hints != mode:
        told = f"must match annotations[{HINTS}] when both are specified"
        yield invalid(f"metadata.annotations[{MODE}]", mode, told)
    headless = spec.get("clusterIPs") == ["None"] or spec.get("clusterIP") == "None"
    if not ports and not headless and kind != "ExternalName":
        yield required("spec.ports")
    if kind == "ExternalName":
        yield from _external_name(spec)
    elif headless and kind in ("LoadBalancer", "NodePort"):
        yield invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    seen: set[str] = set()
    yield from every(_port, ports, "spec.ports", len(ports) > 1, seen)
    yield from labels(spec.get("selector"), "spec.selector")
    yield from one_of("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    yield from _affinity(spec)
    if kind != "ExternalName":
        yield from list(addresses(spec, held)) or stacks(spec)
    yield from every(_external_address, spec.get("externalIPs"), "spec.externalIPs")
    yield from one_of("spec.type", kind, TYPES)
    yield from _twice(ports, kind)
    yield from _balancer(spec, kind, notes)
    yield from _traffic(spec, kind)


def _external_address(each: str, path: str) -> Iterator[Cause]:
    yield from list(names.check(names.address, path, each)) or endpoints.not_special(each, path)


def addresses(spec: dict, held: str = "") -> Iterator[Cause]:
    """Check what is asked for: addresses, one of each family, and families that are theirs."""
    one, listed, path = spec.get("clusterIP", ""), spec.get("clusterIPs") or [], "spec.clusterIPs"
    if one and not listed:
        yield required(path)
    elif listed and listed[0] != one:
        told = "first value must match `clusterIP`" if one else "must be empty when `clusterIP` is not specified"
        yield invalid(path, listed, told)
    families = spec.get("ipFamilies") or []
    seen: set[str] = set()
    for at, each in items(families, "spec.ipFamilies"):
        yield from one_of(at, each, ("IPv4", "IPv6"))
        yield from unique(at, each, seen)
    yield from one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), FAMILY_POLICIES)
    faults = [cause for at, each in items(listed, path) if (at, each) != (f"{path}[0]", "None")
              for cause in names.check(names.address, at, each)]  # fmt: skip
    faults += (
        [invalid(path, listed, "'None' must be the first and only value")] if listed[:1] == ["None"] != listed else []
    )
    yield from faults
    if len(listed) > 2:
        yield invalid(path, listed, "may only hold up to 2 values")
    if faults:
        return
    if len(listed) > 1 and len({":" in each for each in listed}) < len(listed):
        yield invalid(path, listed, "may specify no more than one IP for each IP family")
    for index, (each, family) in enumerate(zip(listed or [held or "None"], families, strict=False)):
        if each != "None" and (family == "IPv6") != (":" in each):
            yield invalid(f"{path}[{index}]", each, f"expected an {family} value as indicated by `ipFamilies[{index}]`")


def stacks(spec: dict) -> Iterator[Cause]:
    """Refuse IPv6, which this cluster has not; who fills a service by himself may have both."""
    families, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy")
    if len(families) == 2 and policy == "SingleStack":
        told = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
        yield invalid("spec.ipFamilyPolicy", "SingleStack", told)
    elif spec.get("clusterIP") != "None" or spec.get("selector"):
        if policy == "RequireDualStack":
            told = "this cluster is not configured for dual-stack services"
            yield invalid("spec.ipFamilyPolicy", "RequireDualStack", told)
        yield from (invalid(at, each, "not configured on this cluster")
                    for at, each in items(families, "spec.ipFamilies") if each == "IPv6")  # fmt: skip


def _external_name(spec: dict) -> Iterator[Cause]:
    if spec.get("clusterIPs") or spec.get("clusterIP"):
        yield forbidden("spec.clusterIPs", NOT_EXTERNAL)
    yield from (
        forbidden(f"spec.{field}", NOT_EXTERNAL) for field in ("ipFamilies", "ipFamilyPolicy") if spec.get(field)
    )
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


def _affinity(spec: dict) -> Iterator[Cause]:
    seconds = dig(spec, "sessionAffinityConfig.clientIP.timeoutSeconds")
    if spec.get("sessionAffinity") == "ClientIP" and seconds is not None and not 0 < seconds <= LONGEST_AFFINITY:
        told = f"must be greater than 0 and less than {LONGEST_AFFINITY}"
        yield invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, told)


def _balancer(spec: dict, kind: str, notes: dict[str, str]) -> Iterator[Cause]:
    """Check what is for load balancers alone; upstream's path of the ranges is Go's name."""
    path, ranges = "spec.LoadBalancerSourceRanges", spec.get("loadBalancerSourceRanges")
    if ranges and kind != "LoadBalancer":
        yield forbidden(path, BALANCERS_ONLY)
    yield from every(lambda each, at: names.check(names.cidr, at, each.strip()), ranges, path)
    if not ranges and RANGES in notes:
        path = f"metadata.annotations[{RANGES}]"
        if kind != "LoadBalancer":
            yield forbidden(path, BALANCERS_ONLY)
        for each in notes[RANGES].split(",") if notes[RANGES].strip() else ():
            yield from names.check(names.cidr, path, each.strip())
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
    elif spec.get("healthCheckNodePort"):
        yield from names.check_port(spec["healthCheckNodePort"], "spec.healthCheckNodePort")
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
        yield invalid("spec.clusterIPs[0]", new.get("clusterIPs"), "may not change once set")


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


def status(given: dict, kind: str) -> Iterator[Cause]:
    """Check the addresses that a load balancer was given."""
    entries, path = dig(given, "loadBalancer.ingress"), "status.loadBalancer.ingress"
    if entries and kind != "LoadBalancer":
        yield forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    for at, each in items(entries, path):
        if each.get("ip"):
            yield from names.check(names.address, f"{at}.ip", each["ip"])
            if each.get("ipMode") is None:
                yield required(f"{at}.ipMode", "must be specified when `ip` is set")
            yield from one_of(f"{at}.ipMode", each.get("ipMode"), ("Proxy", "VIP"))
        elif each.get("ipMode") is not None:
            yield forbidden(f"{at}.ipMode", "may not be specified when `ip` is not set")
        if each.get("hostname"):
            yield from names.check(names.dns_subdomain, f"{at}.hostname", each["hostname"])
            if names.is_address(each["hostname"]):
                yield invalid(f"{at}.hostname", each["hostname"], "must be a DNS name, not an IP address")
