"""Pods go out of the cluster under their node's address: nobody beyond has a way back to theirs.

Between pods, and from pods to nodes, nothing is translated. Without nft the outside sees pods' own addresses.

Upstream: github.com/kubernetes-sigs/ip-masq-agent, or a network plugin's ipMasq; kept here as kube-proxy has the rules
"""

from __future__ import annotations

from labkit.glassbox.kube_proxy.rules import Node

TABLE = "ip ip-masq-agent"


def table(node: Node) -> str:
    """Return the commands that make the node's table anew."""
    inside = f"{{ {node.pod_range}, {node.service_range}, {node.address}/24 }}"
    return f"""add table {TABLE}
delete table {TABLE}
add table {TABLE}
add chain {TABLE} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
add rule {TABLE} postrouting ip saddr {node.pod_range} ip daddr != {inside} masquerade
"""
