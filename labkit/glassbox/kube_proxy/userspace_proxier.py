"""Proxies without the kernel's NAT: this process takes each connection to a virtual address and makes another.

The service range and external addresses are routed to the node itself, so that the proxy can listen on addresses that
no interface has.
The endpoint sees the node's address instead of the client's, and externalTrafficPolicy: Local cannot keep it either.

Upstream: pkg/proxy/userspace, as it was until 1.25
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from dataclasses import dataclass, field

from labkit.glassbox.kube_proxy.rules import Node
from labkit.glassbox.kube_proxy.services import Endpoint, ServicePort
from labkit.glassbox.netlink import Netlink
from labkit.glassbox.relay import UdpRelay, forward

log = logging.getLogger(__name__)

Address = tuple[str, int]


@dataclass
class Front:
    """One address on which the proxy listens, and where it sends what comes."""

    port: ServicePort
    endpoints: list[Endpoint]
    clients: dict[str, tuple[Endpoint, float]] = field(default_factory=dict)  # by address: who it had, until when

    def choose(self, client: str) -> list[Endpoint]:
        """Return the endpoints in the order in which to try them: the client's own first, the others by lot."""
        order = random.sample(self.endpoints, len(self.endpoints))
        if self.port.affinity:
            held, until = self.clients.get(client, (None, 0.0))
            if held in order and time.monotonic() < until:
                order.sort(key=lambda each: each != held)
        return order

    def remember(self, client: str, endpoint: Endpoint) -> None:
        if self.port.affinity:
            self.clients[client] = (endpoint, time.monotonic() + self.port.affinity)


class UserspaceProxier:
    """Proxies in a thread with an event loop of its own."""

    reason = "UserspaceProxier"
    message = "there is no nft: services are routed by a process, and servers see the node's address as their client's"

    def __init__(self, node: Node) -> None:
        self.node = node
        with Netlink() as namespace:
            namespace.local_route(node.service_range)
        self.routed: set[str] = set()  # external addresses
        self.loop = asyncio.new_event_loop()
        self.fronts: dict[tuple[str, Address], Front] = {}
        self.listeners: dict[tuple[str, Address], asyncio.Server | asyncio.DatagramTransport] = {}
        threading.Thread(target=self.loop.run_forever, name="userspace-proxier", daemon=True).start()

    def sync(self, ports: list[ServicePort]) -> None:
        """Listen for these service ports, and no others."""
        asyncio.run_coroutine_threadsafe(self._sync(wanted(ports, self.node)), self.loop).result()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def _sync(self, fronts: dict[tuple[str, Address], tuple[ServicePort, list[Endpoint]]]) -> None:
        self._route({each for port, _ in fronts.values() for each in port.external_addresses})
        for where in [each for each in self.listeners if each not in fronts]:
            self.listeners.pop(where).close()
            del self.fronts[where]
        for where, (port, endpoints) in fronts.items():
            if where in self.fronts:
                self.fronts[where].port, self.fronts[where].endpoints = port, endpoints
                continue
            front = Front(port, endpoints)
            try:
                self.listeners[where] = await self._listen(where, front)
            except OSError as error:
                log.warning("%s: cannot listen on %s: %s", port.key, where, error)
                continue
            self.fronts[where] = front

    def _route(self, addresses: set[str]) -> None:
        with Netlink() as namespace:
            for each in addresses ^ self.routed:
                namespace.local_route(f"{each}/32", each in addresses)
        self.routed = addresses

    async def _listen(self, where: tuple[str, Address], front: Front) -> asyncio.Server | asyncio.DatagramTransport:
        protocol, (address, port) = where
        if protocol == "udp":
            transport, _ = await self.loop.create_datagram_endpoint(lambda: UdpRelay(front, self.loop), (address, port))
            return transport

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await forward(front, reader, writer)

        return await asyncio.start_server(serve, address, port, backlog=1024)


def wanted(ports: list[ServicePort], node: Node) -> dict[tuple[str, Address], tuple[ServicePort, list[Endpoint]]]:
    """Return where to listen: what has no endpoint is left out, and so refused by the kernel."""
    fronts = {}
    for port in ports:
        inside = port.usable(node.name if port.internal_local else "")
        outside = port.usable(node.name if port.external_local else "")
        if inside:
            fronts[port.protocol, (port.address, port.port)] = (port, inside)
        ways = [(each, port.port) for each in port.external_addresses]
        for where in [*ways, (node.address, port.node_port)] if port.node_port else ways:
            if outside:
                fronts[port.protocol, where] = (port, outside)
    return fronts
