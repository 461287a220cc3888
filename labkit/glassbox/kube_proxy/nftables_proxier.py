"""Keeps the node's table as the service ports want it.

A proxy that starts takes over the table that it finds, so that nothing is lost meanwhile, and only what changed is told
to the kernel. Connections that are open go on: the kernel remembers them.

Upstream: pkg/proxy/nftables/proxier.go (syncProxyRules)
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.kube_proxy import conntrack, masquerade
from labkit.glassbox.kube_proxy.rules import TABLE, Node, base, rules_of
from labkit.glassbox.kube_proxy.services import ServicePort
from labkit.glassbox.nftables import Base, Ruleset, Table


class NftablesProxier:
    """Proxies by the kernel."""

    reason = "NftablesProxier"
    message = "services are routed by nftables; list the rules with: nft list table ip kube-proxy"

    def __init__(self, node: Node) -> None:
        own = base(node)
        self.node, self.table = node, Table(TABLE, Base((masquerade.table(node), *own.definitions), own.rules))
        self.ports: dict[ServicePort, Ruleset] = {}  # and what each comes to: most are what they were

    def sync(self, ports: list[ServicePort]) -> None:
        """Bring the table to the service ports. Raises NftError."""
        old, self.ports = self.ports, {each: self.ports.get(each) or rules_of(each, self.node) for each in ports}
        wanted = Ruleset()
        for each in self.ports.values():
            wanted.add(each)
        self.table.become(wanted)
        conntrack.forget(stale_flows(old, ports))

    def close(self) -> None:
        """Leave the rules: the node's traffic goes on while the proxy is away."""


def stale_flows(old: Iterable[ServicePort], new: Iterable[ServicePort]) -> set[tuple[str, str, int]]:
    """Return the UDP flows to end, as (virtual address, endpoint, its port): UDP has no end of its own to wait for."""
    return _flows(old) - _flows(new)


def _flows(ports: Iterable[ServicePort]) -> set[tuple[str, str, int]]:
    return {
        (port.address, each.address, each.port) for port in ports if port.protocol == "udp" for each in port.endpoints
    }
