"""Service: one stable address for many pods.

Upstream: pkg/registry/core/service/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import service_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import names, services, warnings


class ServiceStrategy(Strategy):
    has_status = True
    metadata_looks = 3
    allow_create_on_update = True
    empty_status = {"loadBalancer": {}}
    name_rule = staticmethod(names.dns_label)
    faults = staticmethod(services.service)

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        super().prepare_for_update(obj, old)
        give_up(obj, old)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        kept = [*services.kept_address(obj, old), *services.kept_balancer(obj, old)]
        return [*kept, *services.service(obj, dig(old, "spec.clusterIP") or "")]

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(services.status(obj.get("status") or {}, dig(obj, "spec.type", "ClusterIP")))

    def warnings(self, obj: dict) -> list[str]:
        return warnings.service(obj)


WITH_NODE_PORTS = ("NodePort", "LoadBalancer")
# what a service with a virtual address has and an ExternalName has not
OF_ADDRESS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
OF_BALANCER = ("allocateLoadBalancerNodePorts", "loadBalancerClass")


def give_up(obj: dict, old: dict) -> None:
    """Drop what the new type no longer has, where the client left it as it was."""
    spec, held = obj.get("spec") or {}, old.get("spec") or {}
    kind, before = spec.get("type", "ClusterIP"), held.get("type", "ClusterIP")
    if kind == "ExternalName" and before != "ExternalName":
        drop_unchanged(spec, held, OF_ADDRESS)
    if kind not in WITH_NODE_PORTS and before in WITH_NODE_PORTS and node_ports(spec) <= node_ports(held):
        for port in spec.get("ports") or []:
            port.pop("nodePort", None)
    if services.is_health_checked(held) and not services.is_health_checked(spec):
        drop_unchanged(spec, held, ("healthCheckNodePort",))
    if kind != "LoadBalancer" and before == "LoadBalancer":
        drop_unchanged(spec, held, OF_BALANCER)
    if is_for_outside(held) and not is_for_outside(spec):
        drop_unchanged(spec, held, ("externalTrafficPolicy",))
    if kind != "LoadBalancer" and dig(obj, "status.loadBalancer"):
        obj["status"] = {**obj["status"], "loadBalancer": {}}


def node_ports(spec: dict) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or [] if port.get("nodePort")}


def is_for_outside(spec: dict) -> bool:
    kind = spec.get("type", "ClusterIP")
    return kind in WITH_NODE_PORTS or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def drop_unchanged(spec: dict, held: dict, fields: tuple[str, ...]) -> None:
    for field in fields:
        if spec.get(field) == held.get(field):
            spec.pop(field, None)


SERVICES = Resource(
    kind="Service",
    plural="services",
    strategy=ServiceStrategy(),
    short_names=("svc",),
    categories=("all",),
    subresources=("proxy", "status"),
    columns=service_columns.COLUMNS,
    field_labels=("spec.clusterIP", "spec.type"),
)
