"""Node ports on the host's loopback: 127.0.0.1:30080 is carried to the same port of a node that answers.

Invariants: a port that another program has is left to it, with an event on the service, and is tried again now and
then; two clusters therefore share the loopback by who came first. What listens is told in a file, for `labkit status`.
Servers see the fabric's address as their client's, as they would see a load balancer's. Where traffic from outside
stays on its node (externalTrafficPolicy: Local), only nodes with endpoints are asked: others drop what they get.

A LoadBalancer service has its node ports here, too, and stays pending: upstream gives no event without a cloud
provider, and neither do we.

Upstream: none; `extraPortMappings` of kind
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from labkit.glassbox import objects, pki
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import Informer
from labkit.glassbox.relay import UdpRelay, forward
from labkit.glassbox.service_endpoints import by_service, endpoints_of, usable

RETRY = 15.0  # seconds before a port that was taken is tried again
CONNECT_WITHIN = 1.0  # seconds for each node
Opened = tuple[str, int]  # "tcp" or "udp", and the port


class Place(NamedTuple):
    """A port of a node."""

    address: str
    port: int


class NodePort:
    """One port, and the nodes that it is carried to: those that are Ready first, and first the one that answered."""

    def __init__(self, port: int, service: str, cache: Mapping[str, Informer]) -> None:
        self.port, self.service, self.cache = port, service, cache
        self.last: Place | None = None

    @property
    def endpoints(self) -> list[Place]:
        service = self.cache["services"].get(self.service) or {"spec": {}}
        local = service["spec"].get("externalTrafficPolicy") == "Local"
        having = self._nodes_with_endpoints(service) if local else set()
        nodes = [node for node in self.cache["nodes"].list() if not local or objects.name(node) in having]
        nodes.sort(key=lambda node: (not objects.is_true(node, "Ready"), objects.name(node)))
        return [Place(address, self.port) for node in nodes if (address := internal_address(node))]

    def _nodes_with_endpoints(self, service: dict) -> set[str]:
        slices = by_service(self.cache["endpointslices"].list(objects.namespace(service))).get(self.service, [])
        ports = [each for each in service["spec"]["ports"] if each.get("nodePort") == self.port]
        found = [endpoints_of(slices, each.get("name") or "", each.get("protocol", "TCP")) for each in ports]
        return {each.node for endpoints in found for each in usable(endpoints)}

    def choose(self, client: str) -> list[Place]:
        return sorted(self.endpoints, key=lambda place: place != self.last)

    def remember(self, client: str, endpoint: Place) -> None:
        self.last = endpoint


class HostPorts:
    """Listens for the node ports that there are."""

    def __init__(self, cache: Mapping[str, Informer], recorder: EventRecorder,
                 listen: Callable[[str, int], socket.socket], report: Path) -> None:  # fmt: skip
        self.cache, self.recorder, self.listen, self.report = cache, recorder, listen, report
        self.listeners: dict[Opened, asyncio.Server | asyncio.DatagramTransport] = {}
        self.taken: dict[Opened, str] = {}  # and by the host's word for it
        self.changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        cache["services"].handlers.append(lambda *_: loop.call_soon_threadsafe(self.changed.set))

    async def run(self) -> None:
        """Follow the services, for ever."""
        while True:
            await self.sync(wanted(self.cache["services"].list()))
            try:
                await asyncio.wait_for(self.changed.wait(), RETRY if self.taken else None)
            except TimeoutError:
                pass
            self.changed.clear()

    async def sync(self, services: dict[Opened, dict]) -> None:
        """Listen for these and no others."""
        for port in [each for each in self.listeners if each not in services]:
            self.listeners.pop(port).close()
        before, self.taken = self.taken, {}
        for port in [each for each in services if each not in self.listeners]:
            try:
                self.listeners[port] = await self._open(objects.key(services[port]), *port)
            except OSError as error:
                self.taken[port] = str(error)
                if port not in before:
                    words = f"port {port[1]}/{port[0].upper()} is not served on the host's loopback: {error}"
                    self.recorder.event(services[port], "Warning", "HostPortInUse", words)
        self._tell(services)

    async def _open(self, service: str, protocol: str, port: int) -> asyncio.Server | asyncio.DatagramTransport:
        front = NodePort(port, service, self.cache)
        sock, loop = self.listen(protocol, port), asyncio.get_running_loop()
        if protocol == "udp":
            return (await loop.create_datagram_endpoint(lambda: UdpRelay(front, loop), sock=sock))[0]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await forward(front, reader, writer, CONNECT_WITHIN)

        return await asyncio.start_server(serve, sock=sock, backlog=512)

    def _tell(self, services: dict[Opened, dict]) -> None:
        said = [
            {"port": port, "protocol": protocol, "service": objects.key(services[protocol, port]),
             "problem": self.taken.get((protocol, port), "")}
            for protocol, port in sorted(services)
        ]  # fmt: skip
        pki.write_private(self.report, json.dumps(said))


def wanted(services: Iterable[dict]) -> dict[Opened, dict]:
    """Return the node ports of all services."""
    return {
        (port.get("protocol", "TCP").lower(), port["nodePort"]): service
        for service in services
        for port in service["spec"].get("ports") or []
        if port.get("nodePort") and port.get("protocol", "TCP") in ("TCP", "UDP")
    }


def internal_address(node: dict) -> str:
    addresses = (node.get("status") or {}).get("addresses") or []
    return next((each["address"] for each in addresses if each["type"] == "InternalIP"), "")
