"""Answers questions over UDP and TCP, in one thread: most answers are ready before the next question is read.

Invariants: what is no question is dropped or refused and disturbs nothing else; an answer that does not fit a client's
packet is marked truncated, and the client comes again by TCP.

Upstream: github.com/coredns/coredns core/dnsserver/server.go
"""

from __future__ import annotations

import asyncio
import logging
import socket

from labkit.glassbox.dns import wire
from labkit.glassbox.dns.forwarder import Forwarder
from labkit.glassbox.dns.wire import Answer, Malformed, Question
from labkit.glassbox.dns.zone import LONGEST_CHAIN, Zone

log = logging.getLogger(__name__)

BURST = 64  # questions read before other work has its turn
TCP_IDLE = 10.0  # seconds
TCP_CLIENTS = 100


class Server:
    """What a name server does with bytes."""

    def __init__(self, zone: Zone, forwarder: Forwarder | None = None) -> None:
        self.zone, self.forwarder = zone, forwarder
        self.clients = 0
        self.on_their_way: set[asyncio.Task] = set()

    # -- questions

    def answer(self, data: bytes, largest: int) -> bytes | Question | None:
        """Return the answer; a question that the host's resolver has to hear; None for what deserves no answer."""
        try:
            question = wire.read(data)
        except Malformed as error:
            return None if error.id is None else wire.refusal(error.id, error.flags, wire.FORMERR)
        if question.flags & wire.OPCODE or question.kind == wire.ANY:
            return wire.write(question, Answer(wire.NOTIMP), limit=largest)
        if question.klass != wire.IN:
            return wire.write(question, Answer(wire.REFUSED), limit=largest)
        found, elsewhere = self.follow(question.name, question.kind)
        if elsewhere and self.forwarder:
            return question
        return self._write(question, found, largest)

    def follow(self, name: str, kind: int) -> tuple[Answer, str]:
        """Return what is known of a name and of what it is an alias of, and the name at which our knowledge ends."""
        records: list[wire.Record] = []
        for _ in range(LONGEST_CHAIN):
            found = self.zone.find(name, kind)
            if found is None:
                return (Answer(records=records) if records else self._nowhere()), name
            records += found.records
            last = found.records[-1] if found.records else None
            if last is None or last.kind != wire.CNAME or kind == wire.CNAME:
                return Answer(found.code, records, found.authority, found.additional), ""
            name = wire.read_name(last.data, 0)[0]
        return Answer(wire.SERVFAIL), ""

    def _nowhere(self) -> Answer:
        """Nothing is beyond: the root of all names says so."""
        return Answer(wire.NXDOMAIN, authority=[self.zone.soa("")])

    async def _from_host(self, question: Question, largest: int) -> bytes:
        assert self.forwarder
        found, elsewhere = self.follow(question.name, question.kind)
        code, records = await self.forwarder.ask(elsewhere, question.kind)
        known = [each for each in found.records if each.kind == wire.CNAME]
        return self._write(question, Answer(code, [*known, *records]), largest)

    def _write(self, question: Question, answer: Answer, largest: int) -> bytes:
        limit = min(question.size, wire.LARGEST_UDP) if largest < wire.LARGEST else largest
        return wire.write(question, answer, limit=limit, recurses=self.forwarder is not None)

    # -- packets and connections

    def serve_udp(self, sock: socket.socket) -> None:
        """Answer what comes in on a socket."""
        sock.setblocking(False)
        asyncio.get_running_loop().add_reader(sock, self._hear, sock)

    def _hear(self, sock: socket.socket) -> None:
        for _ in range(BURST):
            try:
                data, client = sock.recvfrom(4096)
                reply = self._safely(data, wire.LARGEST_UDP)
                if isinstance(reply, Question):
                    self._later(sock, client, reply)
                elif reply:
                    sock.sendto(reply, client)
            except OSError:
                return  # nothing more to read; or no way back to the client

    def _later(self, sock: socket.socket, client: tuple[str, int], question: Question) -> None:
        async def reply() -> None:
            sock.sendto(await self._from_host(question, wire.LARGEST_UDP), client)

        task = asyncio.create_task(reply())
        self.on_their_way.add(task)
        task.add_done_callback(self.on_their_way.discard)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the questions of one connection, each with its length before it."""
        self.clients += 1
        try:
            while self.clients <= TCP_CLIENTS:
                length = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), TCP_IDLE), "big")
                data = await asyncio.wait_for(reader.readexactly(length), TCP_IDLE)
                reply = self._safely(data, wire.LARGEST)
                if isinstance(reply, Question):
                    reply = await self._from_host(reply, wire.LARGEST)
                if reply is None:
                    break
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await asyncio.wait_for(writer.drain(), TCP_IDLE)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self.clients -= 1
            writer.close()

    def _safely(self, data: bytes, largest: int) -> bytes | Question | None:
        try:
            return self.answer(data, largest)
        except Exception:
            log.exception("a question of %d bytes", len(data))
            return wire.refusal(int.from_bytes(data[:2], "big"), 0, wire.SERVFAIL)
