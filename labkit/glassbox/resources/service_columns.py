"""What `kubectl get services` shows.

Upstream: printService in pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME, NONE, at, dig, format_labels
from labkit.glassbox.resources.resource import Column


def cluster_ip(service: dict, now: float) -> str:
    return next(iter(dig(service, "spec.clusterIPs") or []), NONE)


def external_ip(service: dict, now: float) -> str:
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return spec.get("externalName", "")
    own = spec.get("externalIPs") or []
    if spec.get("type") != "LoadBalancer":
        return ",".join(own) or NONE
    given = {each.get("ip") or each.get("hostname") for each in dig(service, "status.loadBalancer.ingress") or []}
    return ",".join([*sorted(filter(None, given)), *own]) or "<pending>"


def ports(service: dict, now: float) -> str:
    every = dig(service, "spec.ports") or []
    return (
        ",".join(
            f"{each['port']}:{each['nodePort']}/{each['protocol']}"
            if each.get("nodePort")
            else f"{each['port']}/{each['protocol']}"
            for each in every
        )
        or NONE
    )


COLUMNS = (
    NAME,
    Column("Type", at("spec.type"), describes="spec.type"),
    Column("Cluster-IP", cluster_ip, describes="spec.clusterIP"),
    Column("External-IP", external_ip, describes="spec.externalIPs"),
    Column("Port(s)", ports, describes="spec.ports"),
    AGE,
    Column(
        "Selector",
        lambda service, now: format_labels(dig(service, "spec.selector")),
        describes="spec.selector",
        priority=1,
    ),
)
