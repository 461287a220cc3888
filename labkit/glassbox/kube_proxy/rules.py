"""From service ports to nftables: pure.

    a packet to a virtual address → map service-ips → the service's chain → by lot, an endpoint's chain → dnat

Read it on a node with `nft list table ip kube-proxy`: a service's chain lists exactly the endpoints that it may use.
The eight letters in a chain's name tell its rules apart from those that it had before.

Upstream: pkg/proxy/nftables/proxier.go
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.glassbox.kube_proxy.services import ServicePort
from labkit.glassbox.nftables import Base, Ruleset, short_hash

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


def base(node: Node) -> Base:
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
    return Base((*maps, *chains), rules)


def rules_of(port: ServicePort, node: Node) -> Ruleset:
    """Return what the table ought to hold for a service port on a node."""
    wanted = Ruleset()
    _internal(port, node, wanted)
    _external(port, node, wanted)
    return wanted


def _internal(port: ServicePort, node: Node, wanted: Ruleset) -> None:
    """What is sent to the virtual address, by pods and by the node itself."""
    key = f"{port.address} . {port.protocol} . {port.port}"
    if chain := _balanced(port, node, wanted, local=port.internal_local):
        wanted.entries["service-ips", key] = f"goto {chain}"
    else:
        wanted.entries["no-endpoint-services", key] = DROP if port.usable() else REJECT


def _external(port: ServicePort, node: Node, wanted: Ruleset) -> None:
    """What comes from outside: to a port of the node, or to an address that is routed to it."""
    keys = [("services", "service-ips", f"{each} . {port.protocol} . {port.port}") for each in port.external_addresses]
    if port.node_port:
        keys.append(("nodeports", "service-nodeports", f"{port.protocol} . {port.node_port}"))
    balanced = _balanced(port, node, wanted, local=port.external_local) if keys else ""
    if not balanced:
        for kind, _, key in keys:
            wanted.entries[f"no-endpoint-{kind}", key] = DROP if port.usable() else REJECT
        return
    first = f"jump {MASQUERADE}"
    if port.external_local:
        # Traffic from inside is never refused for want of a local endpoint, and the client's address is kept.
        first = f"ip saddr {node.pod_range} goto {_balanced(port, node, wanted, local=False)}"
    chain = wanted.chain("external", port.key, (first, f"goto {balanced}"))
    for _, table, key in keys:
        wanted.entries[table, key] = f"goto {chain}"


def _balanced(port: ServicePort, node: Node, wanted: Ruleset, *, local: bool) -> str:
    """Return the chain that sends each connection to an endpoint by lot, or to the one that its client had before.

    Without endpoints, on this node if they must be local, there is none: "".
    """
    endpoints = port.usable(node.name if local else "")
    if not endpoints:
        return ""
    asked = f"ip daddr {port.address} {port.protocol} dport {port.port}"
    rules, lots = [f"{asked} ip saddr != {node.pod_range} jump {MASQUERADE}"], []
    for number, endpoint in enumerate(endpoints):
        key = f"{port.key}__{endpoint.address}/{endpoint.port}"
        own = [f"ip saddr {endpoint.address} jump {MASQUERADE}"]  # else the answer would not come back this way
        if port.affinity:
            clients = f"affinity-{short_hash(key, str(port.affinity))}-{key}"
            wanted.sets[clients] = port.affinity
            own.append(f"update @{clients} {{ ip saddr }}")
        to = wanted.chain("endpoint", key, (*own, f"meta l4proto {port.protocol} dnat to {endpoint.where}"))
        rules += [f"ip saddr @{clients} goto {to}"] if port.affinity else []
        lots.append(f"{number} : goto {to}")
    rules.append(f"numgen random mod {len(endpoints)} vmap {{ {', '.join(lots)} }}")
    return wanted.chain("service", port.key + ("-local" if local else ""), tuple(rules))
