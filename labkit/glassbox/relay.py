"""Carries connections and packets from one address to others, in an event loop: for whoever has no NAT to do it.

Upstream: pkg/proxy/userspace/proxysocket.go, as it was until 1.25
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Protocol

CHUNK = 64 * 1024  # bytes
CONNECT_WITHIN = 5.0  # seconds
UDP_IDLE = 60.0  # seconds without a packet after which a client's flow is forgotten
Address = tuple[str, int]


class Endpoint(Protocol):
    """Where something may be carried to."""

    @property
    def address(self) -> str: ...

    @property
    def port(self) -> int: ...


class Front(Protocol):
    """What decides where a client is carried to."""

    @property
    def endpoints(self) -> Sequence[Endpoint]: ...

    def choose(self, client: str) -> Sequence[Any]:
        """Return the endpoints in the order in which to try them."""

    def remember(self, client: str, endpoint: Any) -> None:
        """Hear which one answered."""


async def forward(
    front: Front, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, within: float = CONNECT_WITHIN
) -> None:
    """Carry one connection to an endpoint that answers `within` seconds and back, until both sides have ended."""
    client = writer.get_extra_info("peername")[0]
    for endpoint in front.choose(client):
        try:
            connecting = asyncio.open_connection(endpoint.address, endpoint.port)
            theirs, ours = await asyncio.wait_for(connecting, within)
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


class UdpRelay(asyncio.DatagramProtocol):
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
