"""What web pages ask of an API server: a watch, a log, a terminal by WebSocket, and a token among the protocols.

A browser sets no header on a WebSocket, so the token is one of the protocols that it offers. An event, or a piece of a
log, is a frame. A terminal's channels come in dialects: in base64 for clients that speak text alone, and before v4 an
error was told as bare text; the kubelet is always spoken to in v4.

Upstream: k8s.io/streaming/pkg/httpstream/wsstream, k8s.io/apiserver/pkg/authentication/request/websocket/protocol.go,
k8s.io/kubelet/pkg/cri/streaming/remotecommand/websocket.go
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Mapping

import orjson
from aiohttp import web

TOKEN = "base64url.bearer.authorization.k8s.io."
V4 = "v4.channel.k8s.io"
DIALECTS = ("channel.k8s.io", "base64.channel.k8s.io", "v4.base64.channel.k8s.io", "")  # "": none was offered
FRAMES_OF_LOGS = ("binary.k8s.io", "base64.binary.k8s.io")
STATUS, ZERO = 3, ord("0")
CLOSE_SECONDS = 1.0  # that a client has to answer a close


def is_asked(headers: Mapping[str, str]) -> bool:
    return headers.get("Upgrade", "").lower() == "websocket"


def offered(headers: Mapping[str, str]) -> list[str]:
    """Return the protocols that a client offers."""
    return [each.strip() for each in headers.get("Sec-WebSocket-Protocol", "").split(",")]


def authorization(headers: Mapping[str, str]) -> str:
    """Return what the header Authorization says, or would say; a token that cannot be read is nobody's."""
    given = headers.get("Authorization", "")
    tokens = [each.removeprefix(TOKEN) for each in offered(headers) if each.startswith(TOKEN)]
    if given or not tokens or not is_asked(headers):
        return given
    return "Bearer " + base64.urlsafe_b64decode(tokens[0] + "==").decode(errors="replace")


class Frames:
    """A WebSocket on which a client only listens, to be written to like an ordinary response."""

    def __init__(self, http: web.BaseRequest, protocols: tuple[str, ...] = ()) -> None:
        known = protocols or tuple(each for each in offered(http.headers) if not each.startswith(TOKEN))
        self.socket = web.WebSocketResponse(protocols=known, compress=False, timeout=CLOSE_SECONDS)
        self.http, self.left = http, asyncio.Event()
        self.listening: asyncio.Task | None = None

    async def open(self) -> None:
        await self.socket.prepare(self.http)
        self.listening = asyncio.create_task(self._listen())

    async def write_events(self, lines: bytes) -> None:
        for line in lines.splitlines(keepends=True):
            await self.socket.send_str(line.decode())

    async def write(self, data: bytes) -> None:
        if (self.socket.ws_protocol or "").startswith("base64."):
            await self.socket.send_str(base64.b64encode(data).decode())
        else:
            await self.socket.send_bytes(data)

    async def close(self) -> web.WebSocketResponse:
        if self.listening:
            self.listening.cancel()
        await self.socket.close()
        return self.socket

    async def _listen(self) -> None:
        async for _ in self.socket:
            pass
        self.left.set()


def to_kubelet(dialect: str, data: bytes) -> bytes:
    """Return a client's message as v4 has it. Raises ValueError for what is no base64."""
    if "base64." not in dialect or not data:
        return data
    return bytes([data[0] - ZERO]) + base64.b64decode(data[1:], validate=True)


def to_client(dialect: str, data: bytes) -> Iterator[bytes | str]:
    """Yield a message of v4 as a client takes it; success was not told before v4."""
    if not dialect.startswith("v") and data[:1] == bytes([STATUS]) and len(data) > 1:
        status = orjson.loads(data[1:])
        if status["status"] == "Success":
            return
        data = data[:1] + status.get("message", "").encode()
    yield f"{data[0]}{base64.b64encode(data[1:]).decode()}" if "base64." in dialect and data else data
