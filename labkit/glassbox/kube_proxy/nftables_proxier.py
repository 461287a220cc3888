"""Keeps the node's table as the service ports want it.

The table is made anew when the proxy starts, in the transaction that fills it, so that nothing is lost meanwhile; after
that only what changed is sent. Connections that are open go on: the kernel remembers them.

Upstream: pkg/proxy/nftables/proxier.go (syncProxyRules)
"""

from __future__ import annotations

from labkit.glassbox.kube_proxy import conntrack, masquerade
from labkit.glassbox.kube_proxy.rules import TABLE, Node, base, ruleset
from labkit.glassbox.kube_proxy.services import ServicePort
from labkit.glassbox.nftables import Table


class NftablesProxier:
    """Proxies by the kernel."""

    reason = "NftablesProxier"
    message = "services are routed by nftables; list the rules with: nft list table ip kube-proxy"

    def __init__(self, node: Node) -> None:
        self.node, self.table = node, Table(TABLE, masquerade.table(node) + base(node))
        self.ports: list[ServicePort] = []

    def sync(self, ports: list[ServicePort]) -> None:
        """Bring the table to the service ports. Raises NftError."""
        self.table.become(ruleset(ports, self.node))
        conntrack.forget(stale_flows(self.ports, ports))
        self.ports = ports

    def close(self) -> None:
        """Leave the rules: the node's traffic goes on while the proxy is away."""


def stale_flows(old: list[ServicePort], new: list[ServicePort]) -> set[tuple[str, str, int]]:
    """Return the UDP flows to end, as (virtual address, endpoint, its port): UDP has no end of its own to wait for."""
    return _flows(old) - _flows(new)


def _flows(ports: list[ServicePort]) -> set[tuple[str, str, int]]:
    return {
        (port.address, each.address, each.port) for port in ports if port.protocol == "udp" for each in port.endpoints
    }
