"""Carries requests to pods and their answers back.

Each request has a connection of its own to its pod: no request meets a connection that the pod is just closing, and a
pod that ends gets none. Endpoints take turns. One that cannot be reached is passed over, and so is one that closes
before it answers where a request may be repeated: GET and its like, without a body.

A client that has ended its side and is sent something that goes on for long is taken to have left.

Invariants: what a client says of whom it forwards for is replaced by what is seen. A body is passed on while it comes,
both ways at once; an interim answer (100, 103) is passed on; after 101 bytes are, whatever the protocol.

Upstream: github.com/kubernetes/ingress-nginx, rootfs/etc/nginx
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from labkit.glassbox.ingress import http1, routes
from labkit.glassbox.ingress.http1 import Head, Malformed
from labkit.glassbox.service_endpoints import Endpoint

log = logging.getLogger(__name__)

CONNECT_WITHIN, ANSWER_WITHIN, IDLE = 5.0, 60.0, 75.0  # seconds
HANDSHAKE = 0.05  # seconds, for TLS
LOOK = 2.0  # seconds, while an answer is passed on, from one look to the next whether the client is there
IP_BIND_ADDRESS_NO_PORT = 24  # in linux/in.h; a port for each destination, else they would run out
REPEATABLE = {"GET", "HEAD", "OPTIONS"}
FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
REASONS = {400: "Bad Request", 404: "Not Found", 502: "Bad Gateway", 503: "Service Temporarily Unavailable",
           504: "Gateway Time-out"}  # fmt: skip
NO_BACKEND = "default backend - 404"
CUT_OFF = (OSError, asyncio.IncompleteReadError, Malformed)


class Unanswered(Exception):
    """A pod that ended the connection before it answered."""


@dataclass(frozen=True)
class Connection:
    """One side's streams."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Proxy:
    """Answers clients, and asks pods from an address of its own; `table` is replaced whole when something changes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.table: list[routes.Route] = []
        self.busy: set[asyncio.Task] = set()  # whose clients have just come, or wait for an answer
        self.ending = False
        self.turns: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)

    async def end(self) -> None:
        """Answer those who have asked, or came to ask."""
        self.ending = True
        await asyncio.sleep(HANDSHAKE)  # who came last may not have begun
        while self.busy:
            await asyncio.wait(self.busy)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client's requests, one after another."""
        client, task = Connection(reader, writer), asyncio.current_task()
        assert task
        self.busy.add(task)
        try:
            while await self._request(client, task) and not self.ending:
                self.busy.discard(task)
        except (*CUT_OFF, TimeoutError) as error:
            log.debug("a client's connection ends: %s", error)
        finally:
            self.busy.discard(task)
            writer.close()

    async def _request(self, client: Connection, task: asyncio.Task) -> bool:
        """Answer one request; tell whether another may follow on this connection."""
        try:
            async with asyncio.timeout(IDLE):
                head = await http1.read_head(client.reader)
            if head is None:
                return False
            self.busy.add(task)
            host, path, length = target(head)
        except Malformed:
            return await _refuse(client, 400)
        backend = routes.find(self.table, host, path)
        if backend is None:
            return await _refuse(client, 404, NO_BACKEND, head)
        if not backend.endpoints:
            return await _refuse(client, 503, head=head)
        return await self._carry(client, head, length, self._in_turn(backend))

    def _in_turn(self, backend: routes.Backend) -> list[Endpoint]:
        first = next(self.turns[f"{backend.service}:{backend.port}"]) % len(backend.endpoints)
        return [*backend.endpoints[first:], *backend.endpoints[:first]]

    async def _carry(self, client: Connection, head: Head, length: int, order: list[Endpoint]) -> bool:
        for endpoint in order:
            try:
                async with asyncio.timeout(CONNECT_WITHIN):
                    pod = await self._connect(endpoint)
            except (OSError, TimeoutError):
                continue
            try:
                return await exchange(client, pod, head, length)
            except Unanswered:
                if length or head.first[0] not in REPEATABLE:
                    break
            except TimeoutError:
                return await _refuse(client, 504, head=head)
            finally:
                pod.writer.close()
        return await _refuse(client, 502, head=head)

    async def _connect(self, endpoint: Endpoint) -> Connection:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self.address, 0))
            await asyncio.get_running_loop().sock_connect(sock, (endpoint.address, endpoint.port))
            return Connection(*await asyncio.open_connection(sock=sock))
        except BaseException:
            sock.close()
            raise


def target(head: Head) -> tuple[str, str, int]:
    """Return what a request is for: host, path and the length of its body. Raises Malformed."""
    _, where, version = head.first
    hosts = head.all("host")
    if version not in ("HTTP/1.0", "HTTP/1.1") or not where.startswith("/") or len(hosts) > 1:
        raise Malformed(" ".join(head.first))
    if not hosts and version == "HTTP/1.1":
        raise Malformed("no host")
    host = hosts[0].rpartition(":")[0] or hosts[0] if hosts else ""
    return host.lower().rstrip("."), unquote(where.partition("?")[0]), head.request_length()


async def exchange(client: Connection, pod: Connection, head: Head, length: int) -> bool:
    """Carry one request and its answer; tell whether the client may send another. Raises Unanswered, TimeoutError."""
    pod.writer.write(head.passed_on(forwarding(client, head), without=FORWARDED))
    sending = asyncio.create_task(http1.pass_on(client.reader, pod.writer, length)) if length else None
    try:
        answer = await _answer(client, pod)
        if answer.status == 101:
            client.writer.write(answer.passed_on(_switching(answer)))
            await _join(client, pod)
            return False
        body = answer.answer_length(head.first[0])
        stays = _stays(head) and body != http1.TO_THE_END and (sending is None or sending.done())
        client.writer.write(answer.passed_on([("Connection", "keep-alive" if stays else "close")]))
        await _deliver(pod, client, body)
        await client.writer.drain()
        return stays
    finally:
        if sending:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def _deliver(pod: Connection, client: Connection, length: int) -> None:
    """Pass an answer's body on. Raises ConnectionError where the client has left."""
    passing = asyncio.create_task(http1.pass_on(pod.reader, client.writer, length))
    try:
        while not (await asyncio.wait([passing], timeout=LOOK))[0]:
            if client.reader.at_eof():
                raise ConnectionAbortedError("the client has left")
    finally:
        passing.cancel()
    await passing


def forwarding(client: Connection, head: Head) -> list[tuple[str, str]]:
    """Return the headers that tell the pod who asks, and what becomes of the connection."""
    scheme = "https" if client.writer.get_extra_info("ssl_object") else "http"
    values = (client.writer.get_extra_info("peername")[0], scheme, head.get("host"))
    names = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
    return [*zip(names, values, strict=True), *(_switching(head) or [("Connection", "close")])]


async def _answer(client: Connection, pod: Connection) -> Head:
    """Return the answer's head; what comes before it is the client's, too."""
    while True:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answer = await http1.read_head(pod.reader)
        except (OSError, Malformed) as error:
            raise Unanswered from error
        if answer is None:
            raise Unanswered
        if answer.status >= 200 or answer.status == 101:
            return answer
        client.writer.write(answer.passed_on(()))


def _switching(head: Head) -> list[tuple[str, str]]:
    return [("Connection", "Upgrade"), ("Upgrade", head.upgrade)] if head.upgrade else []


def _stays(head: Head) -> bool:
    return head.first[2] == "HTTP/1.1" and "close" not in head.words("connection")


async def _join(client: Connection, pod: Connection) -> None:
    """Pass bytes on both ways until one side has ended and the other has all of it."""
    ways = [asyncio.create_task(http1.pass_on(source.reader, to.writer, http1.TO_THE_END))
            for source, to in ((client, pod), (pod, client))]  # fmt: skip
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _refuse(client: Connection, code: int, text: str = "", head: Head | None = None) -> bool:
    """Answer in the pod's place; the connection stays where no body is on its way."""
    stays = head is not None and _stays(head) and not head.request_length()
    body = b"" if head and head.first[0] == "HEAD" else (text or REASONS[code]).encode()
    lines = [f"HTTP/1.1 {code} {REASONS[code]}", "Content-Type: text/plain", f"Content-Length: {len(body)}",
             f"Connection: {'keep-alive' if stays else 'close'}", "", ""]  # fmt: skip
    client.writer.write("\r\n".join(lines).encode() + body)
    await client.writer.drain()
    return stays
