"""Proxies without the kernel's NAT: this process takes each connection to a virtual address and makes another.

The whole service range is routed to the node itself, so that the proxy can listen on addresses that no interface has.
The endpoint sees the node's address instead of the client's, and externalTrafficPolicy: Local cannot keep it either.

Upstream: pkg/proxy/userspace, as it was until 1.25
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import threading
import time
from dataclasses import dataclass, field

from labkit.glassbox.kube_proxy.rules import Node
from labkit.glassbox.kube_proxy.services import Endpoint, ServicePort
from labkit.glassbox.netlink import Netlink

log = logging.getLogger(__name__)

CHUNK = 64 * 1024  # bytes
CONNECT_WITHIN = 5.0  # seconds
UDP_IDLE = 60.0  # seconds without a packet after which a client's flow is forgotten
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
            namespace.add_local_route(node.service_range)
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

    async def _listen(self, where: tuple[str, Address], front: Front) -> asyncio.Server | asyncio.DatagramTransport:
        protocol, (address, port) = where
        if protocol == "udp":
            transport, _ = await self.loop.create_datagram_endpoint(lambda: UdpFront(front, self.loop), (address, port))
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
        if outside and port.node_port:
            fronts[port.protocol, (node.address, port.node_port)] = (port, outside)
    return fronts


async def forward(front: Front, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one connection to an endpoint and back, until both sides have ended."""
    client = writer.get_extra_info("peername")[0]
    for endpoint in front.choose(client):
        try:
            connecting = asyncio.open_connection(endpoint.address, endpoint.port)
            theirs, ours = await asyncio.wait_for(connecting, CONNECT_WITHIN)
        except (OSError, TimeoutError):
            continue
        front.remember(client, endpoint)
        await asyncio.gather(_pump(reader, ours), _pump(theirs, writer))
        break
    else:
        _reset(writer)
    writer.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
        target.write_eof()
    except (ConnectionError, OSError, RuntimeError):
        _reset(target)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


class UdpFront(asyncio.DatagramProtocol):
    """Carries packets: a socket of its own a client, so that answers find back."""

    def __init__(self, front: Front, loop: asyncio.AbstractEventLoop) -> None:
        self.front, self.loop = front, loop
        self.flows: dict[Address, tuple[socket.socket, asyncio.TimerHandle, Endpoint]] = {}
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, client: Address) -> None:
        if client in self.flows and self.flows[client][2] not in self.front.endpoints:
            self._forget(client)
        if client not in self.flows and not self._open(client):
            return
        flow, timer, endpoint = self.flows[client]
        timer.cancel()
        self.flows[client] = (flow, self.loop.call_later(UDP_IDLE, self._forget, client), endpoint)
        try:
            flow.send(data)
        except OSError:
            self._forget(client)

    def _open(self, client: Address) -> bool:
        order = self.front.choose(client[0])
        if not order:
            return False
        flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        flow.connect((order[0].address, order[0].port))
        self.front.remember(client[0], order[0])
        self.loop.add_reader(flow, self._answer, flow, client)
        self.flows[client] = (flow, self.loop.call_later(UDP_IDLE, self._forget, client), order[0])
        return True

    def _answer(self, flow: socket.socket, client: Address) -> None:
        try:
            data = flow.recv(CHUNK)
        except OSError:
            return
        if self.transport:
            self.transport.sendto(data, client)

    def _forget(self, client: Address) -> None:
        flow, timer, _ = self.flows.pop(client)
        timer.cancel()
        self.loop.remove_reader(flow)
        flow.close()

    def connection_lost(self, error: Exception | None) -> None:
        for client in [*self.flows]:
            self._forget(client)
