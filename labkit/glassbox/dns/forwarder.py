"""Asks the host's resolver, over a socket that was opened in the host's network and handed in.

Off unless `labkit up --host-dns`. A question keeps a number of its own while it is away; an answer from elsewhere, or
to nothing that was asked, is dropped.

Left out: TCP to the host's resolver: a truncated answer goes back as it came.

Upstream: github.com/coredns/coredns plugin/forward
"""

from __future__ import annotations

import asyncio
import random
import socket

from labkit.glassbox.dns import wire

WITHIN = 2.0  # seconds for each server
MOST = 1000  # questions on their way (max_concurrent of kubeadm's Corefile)


class Forwarder:
    """Sends questions to the first server that answers."""

    def __init__(self, sock: socket.socket, servers: list[str], port: int = 53) -> None:
        self.sock, self.servers, self.port = sock, servers, port
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        sock.setblocking(False)
        asyncio.get_running_loop().add_reader(sock, self._hear)

    async def ask(self, name: str, kind: int) -> tuple[int, list[wire.Record]]:
        """Return code and records; SERVFAIL if nobody answers."""
        for server in self.servers if len(self.waiting) < MOST else ():
            id = random.choice([each for each in random.sample(range(65536), 50) if each not in self.waiting])
            answer = self.waiting[id] = asyncio.get_running_loop().create_future()
            try:
                self.sock.sendto(wire.ask(id, name, kind), (server, self.port))
                return wire.read_answers(await asyncio.wait_for(answer, WITHIN))
            except (OSError, TimeoutError, ValueError, IndexError):
                continue
            finally:
                del self.waiting[id]
        return wire.SERVFAIL, []

    def _hear(self) -> None:
        try:
            data, (server, _) = self.sock.recvfrom(wire.LARGEST)
        except OSError:
            return
        answer = self.waiting.get(int.from_bytes(data[:2], "big"))
        if answer and server in self.servers and not answer.done():
            answer.set_result(data)
