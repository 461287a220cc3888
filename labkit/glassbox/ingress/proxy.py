"""Carries requests to pods and their answers back.

Each request has a connection of its own to its pod: no request meets a connection that the pod is just closing, and a
pod that ends gets none. Endpoints take turns. One that cannot be reached is passed over, and so is one that closes
before it answers where a request may be repeated: GET and its like, without a body.

Invariants: what a client says of whom it forwards for is replaced by what is seen. A body is passed on while it comes,
both ways at once; an interim answer (100, 103) is passed on; after 101 bytes are, whatever the protocol.

Upstream: github.com/kubernetes/ingress-nginx, rootfs/etc/nginx
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from labkit.glassbox.ingress import http1, routes
from labkit.glassbox.ingress.http1 import Head, Malformed
from labkit.glassbox.service_endpoints import Endpoint

log = logging.getLogger(__name__)

CONNECT_WITHIN, ANSWER_WITHIN, IDLE = 5.0, 60.0, 75.0  # seconds
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
    """Answers clients; `table` is replaced whole when something changes."""

    def __init__(self) -> None:
        self.table: list[routes.Route] = []
        self.busy: set[asyncio.Task] = set()  # what answers a request now
        self.turns: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client's requests, one after another."""
        client = Connection(reader, writer)
        try:
            while await self._request(client):
                pass
        except (*CUT_OFF, TimeoutError) as error:
            log.debug("a client's connection ends: %s", error)
        finally:
            writer.close()

    async def _request(self, client: Connection) -> bool:
        """Answer one request; tell whether another may follow on this connection."""
        try:
            async with asyncio.timeout(IDLE):
                head = await http1.read_head(client.reader)
            if head is None:
                return False
            host, path, length = target(head)
        except Malformed:
            return await _refuse(client, 400)
        backend = routes.find(self.table, host, path)
        if backend is None:
            return await _refuse(client, 404, NO_BACKEND, head)
        if not backend.endpoints:
            return await _refuse(client, 503, head=head)
        task = asyncio.current_task()
        assert task
        self.busy.add(task)
        try:
            return await self._carry(client, head, length, self._in_turn(backend))
        finally:
            self.busy.discard(task)

    def _in_turn(self, backend: routes.Backend) -> list[Endpoint]:
        first = next(self.turns[f"{backend.service}:{backend.port}"]) % len(backend.endpoints)
        return [*backend.endpoints[first:], *backend.endpoints[:first]]

    async def _carry(self, client: Connection, head: Head, length: int, order: list[Endpoint]) -> bool:
        for endpoint in order:
            try:
                async with asyncio.timeout(CONNECT_WITHIN):
                    pod = Connection(*await asyncio.open_connection(endpoint.address, endpoint.port))
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
        await http1.pass_on(pod.reader, client.writer, body)
        await client.writer.drain()
        return stays
    finally:
        if sending:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


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
