"""Follows policies, pods and namespaces, and keeps the node's table in step.

Pods and namespaces are followed from the first policy on: a cluster without policies pays nothing, and has no table.
An open connection that a new policy forbids goes on, as with most plugins; only new ones are refused. Where there is no
nft nothing is enforced, and the node says so.

Upstream: sigs.k8s.io/kube-network-policies/pkg/networkpolicy/controller.go
"""

from __future__ import annotations

from collections.abc import Sequence

from labkit.glassbox import nftables
from labkit.glassbox.client import Client
from labkit.glassbox.network_policy.rules import TABLE, base, ruleset
from labkit.glassbox.node_agent import NodeAgent

CONDITION = "NetworkPolicy"
ENFORCED = {
    "type": CONDITION,
    "status": "True",
    "reason": "Nftables",
    "message": "network policies are enforced by nftables; list the rules with: nft list table ip network-policy",
}
IGNORED = {
    "type": CONDITION,
    "status": "False",
    "reason": "NftNotFound",
    "message": "there is no nft: network policies are stored and not enforced",
}


class NetworkPolicyAgent(NodeAgent):
    """One node's agent."""

    resources = ("networkpolicies",)

    def __init__(self, api: Client, node: str, pod_cidr: str, others: Sequence[dict] = ()) -> None:
        super().__init__(api, node)
        self.condition = ENFORCED if nftables.binary() else IGNORED
        self.table = nftables.Table(TABLE, base(pod_cidr))
        self.others = others

    def sync(self) -> None:
        policies = self.cache["networkpolicies"].list()
        if self.condition is IGNORED:
            return
        if not policies:
            self.table.vanish()
            return
        if "pods" not in self.cache:
            self.follow("pods", "namespaces")
        pods = [*self.cache["pods"].list(), *self.others]
        self.table.become(ruleset(policies, pods, self.cache["namespaces"].list(), self.node))


def pod_elsewhere(label: str, name: str, address: str) -> dict:
    """Return the pod of kube-system that a component is on other clusters: policies that name it work here, too."""
    return {
        "metadata": {"namespace": "kube-system", "name": name, "labels": {label: name}},
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIP": address},
    }
