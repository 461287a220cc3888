"""From service ports to nftables: pure.

    a packet to a virtual address → map service-ips → the service's chain → by lot, an endpoint's chain → dnat

Read it on a node with `nft list table ip kube-proxy`: a service's chain lists exactly the endpoints that it may use.

Upstream: pkg/proxy/nftables/proxier.go
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labkit.glassbox.kube_proxy.services import Endpoint, ServicePort
from labkit.glassbox.nftables import Ruleset, fill, short_hash

TABLE = "ip kube-proxy"
MARK = "0x4000"  # on packets whose source address is to become the node's
MASQUERADE, REJECT, DROP = "mark-for-masquerade", "goto reject-chain", "drop"
MAPS = {
    "service-ips": "ipv4_addr . inet_proto . inet_service",
    "service-nodeports": "inet_proto . inet_service",
    "no-endpoint-services": "ipv4_addr . inet_proto . inet_service",
    "no-endpoint-nodeports": "inet_proto . inet_service",
}


@dataclass(frozen=True)
class Node:
    """What of its node the rules need."""

    name: str
    address: str
    pod_range: str  # of all nodes: who is in it is not outside
    service_range: str


def base(node: Node) -> str:
    """Return the part of the table that does not depend on services."""
    maps = [f"add map {TABLE} {name} {{ type {kind} : verdict; }}" for name, kind in MAPS.items()]
    hooks = {
        "nat-prerouting": "type nat hook prerouting priority dstnat;",
        "nat-output": "type nat hook output priority -100;",
        "nat-postrouting": "type nat hook postrouting priority srcnat;",
        "filter-input": "type filter hook input priority -110;",
        "filter-forward": "type filter hook forward priority -110;",
        "filter-output": "type filter hook output priority -110;",
    }
    rules = {
        "services": (
            "ip daddr . meta l4proto . th dport vmap @service-ips",
            f"ip daddr {node.address} meta l4proto . th dport vmap @service-nodeports",
        ),
        "no-endpoints": (
            "ip daddr . meta l4proto . th dport vmap @no-endpoint-services",
            f"ip daddr {node.address} meta l4proto . th dport vmap @no-endpoint-nodeports",
        ),
        "unused-addresses": (f"ip daddr {node.service_range} reject",),
        "reject-chain": ("reject",),
        MASQUERADE: (f"meta mark set meta mark or {MARK}",),
        "masquerading": (
            f"meta mark and {MARK} == 0 return",
            f"meta mark set meta mark xor {MARK}",
            "masquerade fully-random",
        ),
        "nat-prerouting": ("jump services",),
        "nat-output": ("jump services",),
        "nat-postrouting": ("jump masquerading",),
        "filter-input": ("ct state new jump no-endpoints",),
        "filter-forward": ("ct state new jump no-endpoints", "ct state new jump unused-addresses"),
        "filter-output": ("ct state new jump no-endpoints",),
    }
    chains = [
        f"add chain {TABLE} {name}" + (f" {{ {hooks[name]} policy accept; }}" if name in hooks else "")
        for name in rules
    ]
    return "\n".join([*maps, *chains, *fill(TABLE, rules)])


def ruleset(ports: Iterable[ServicePort], node: Node) -> Ruleset:
    """Return what the table ought to hold for these service ports on a node."""
    wanted = Ruleset()
    for port in ports:
        _internal(port, node, wanted)
        _external(port, node, wanted)
    return wanted


def _internal(port: ServicePort, node: Node, wanted: Ruleset) -> None:
    """What is sent to the virtual address, by pods and by the node itself."""
    key = f"{port.address} . {port.protocol} . {port.port}"
    endpoints = port.usable(node.name if port.internal_local else "")
    if not endpoints:
        wanted.entries["no-endpoint-services", key] = DROP if port.usable() else REJECT
        return
    chain = _name("service", port, "local" if port.internal_local else "")
    outside = (
        f"ip daddr {port.address} {port.protocol} dport {port.port} ip saddr != {node.pod_range} jump {MASQUERADE}"
    )
    _balance(port, chain, endpoints, wanted, first=(outside,))
    wanted.entries["service-ips", key] = f"goto {chain}"


def _external(port: ServicePort, node: Node, wanted: Ruleset) -> None:
    """What comes from outside: to a port of the node, or to an address that is routed to it."""
    keys = [("services", "service-ips", f"{each} . {port.protocol} . {port.port}") for each in port.external_addresses]
    if port.node_port:
        keys.append(("nodeports", "service-nodeports", f"{port.protocol} . {port.node_port}"))
    if not keys:
        return
    endpoints = port.usable(node.name if port.external_local else "")
    if not endpoints:
        for kind, _, key in keys:
            wanted.entries[f"no-endpoint-{kind}", key] = DROP if port.usable() else REJECT
        return
    chain, balanced = _name("external", port), _name("service", port, "local" if port.external_local else "")
    if balanced not in wanted.chains:
        _balance(port, balanced, endpoints, wanted)
    inside = f"ip saddr {node.pod_range} goto {_name('service', port)}"
    if port.external_local:
        # Traffic from inside is never refused for want of a local endpoint, and the client's address is kept.
        wanted.chains[chain] = (*((inside,) if _name("service", port) in wanted.chains else ()), f"goto {balanced}")
    else:
        wanted.chains[chain] = (f"jump {MASQUERADE}", f"goto {balanced}")
    for _, table, key in keys:
        wanted.entries[table, key] = f"goto {chain}"


def _balance(
    port: ServicePort, chain: str, endpoints: list[Endpoint], wanted: Ruleset, first: tuple[str, ...] = ()
) -> None:
    """Send each connection to an endpoint by lot, or to the one that its client had before."""
    rules = list(first)
    for endpoint in endpoints:
        name, remembered = _endpoint_name(port, endpoint), _endpoint_name(port, endpoint, "affinity")
        hairpin = f"ip saddr {endpoint.address} jump {MASQUERADE}"  # else the answer would not come back this way
        remember = (f"update @{remembered} {{ ip saddr }}",) if port.affinity else ()
        wanted.chains[name] = (hairpin, *remember, f"meta l4proto {port.protocol} dnat to {endpoint.where}")
        if port.affinity:
            wanted.sets[remembered] = port.affinity
            rules.append(f"ip saddr @{remembered} goto {name}")
    lots = ", ".join(f"{number} : goto {_endpoint_name(port, each)}" for number, each in enumerate(endpoints))
    rules.append(f"numgen random mod {len(endpoints)} vmap {{ {lots} }}")
    wanted.chains[chain] = tuple(rules)


def _name(kind: str, port: ServicePort, suffix: str = "") -> str:
    return f"{kind}-{short_hash(port.key + suffix)}-{port.key}{'-' + suffix if suffix else ''}"


def _endpoint_name(port: ServicePort, endpoint: Endpoint, kind: str = "endpoint") -> str:
    return f"{kind}-{short_hash(port.key + endpoint.where)}-{port.key}__{endpoint.address}/{endpoint.port}"
