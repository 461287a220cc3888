"""Follows services and their endpoints and keeps the node's proxier in step.

Upstream: pkg/proxy/nftables/proxier.go (OnServiceUpdate … syncRunner)
"""

from __future__ import annotations

from typing import Protocol

from labkit.glassbox.client import Client
from labkit.glassbox.kube_proxy.services import ServicePort, ServicePorts
from labkit.glassbox.node_agent import NodeAgent


class Proxier(Protocol):
    """What makes virtual addresses work on a node."""

    reason: str
    message: str

    def sync(self, ports: list[ServicePort]) -> None: ...

    def close(self) -> None: ...


class Proxy(NodeAgent):
    """One node's kube-proxy."""

    resources = ("services", "endpointslices")

    def __init__(self, api: Client, node: str, proxier: Proxier) -> None:
        super().__init__(api, node)
        self.proxier, self.ports = proxier, ServicePorts()
        self.condition = {
            "type": "ServiceRouting",
            "status": "True",
            "reason": proxier.reason,
            "message": proxier.message,
        }

    def sync(self) -> None:
        self.proxier.sync(self.ports.of(self.cache["services"].list(), self.cache["endpointslices"].list()))

    def run(self) -> None:
        super().run()
        self.proxier.close()
