"""A client of exec, attach or port-forward that speaks SPDY/3.1, seen as the WebSocket that the others open.

After the 101 both sides send frames on the bare connection. A port-forward's go as they are to the kubelet, which knows
them. Of exec and attach each stream that the client opens ("stdin", "error", …) is a channel of the kubelet's
WebSocket: data becomes messages, the end of the input [255, 0], and what comes back waits until its stream is there.

Upstream: staging/src/k8s.io/apimachinery/pkg/util/httpstream/spdy, k8s.io/streaming pkg/remotecommand/httpstream.go
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from labkit.glassbox import spdy
from labkit.glassbox.errors import ApiError
from labkit.glassbox.spdy import DATA, FIN, PING, SYN_REPLY, SYN_STREAM, Frame

VERSION = "X-Stream-Protocol-Version"
PORT_FORWARD = "portforward.k8s.io"
SPOKEN = {"exec": "v4.channel.k8s.io", "attach": "v4.channel.k8s.io", "portforward": PORT_FORWARD}
CHANNELS = {"stdin": 0, "stdout": 1, "stderr": 2, "error": 3, "resize": 4}
ANSWERS, CLOSE = (1, 2, 3), 255
CHUNK = 64 * 1024  # bytes
CLOSE_SECONDS = 1.0  # that a client has to hang up when all is said


@dataclass(frozen=True)
class Message:
    """What a WebSocket would have brought."""

    data: bytes
    type: aiohttp.WSMsgType = aiohttp.WSMsgType.BINARY


class Incoming(asyncio.StreamReader):
    """What the client sends after the upgrade, in place of aiohttp's parser."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:  # type: ignore[override]
        super().feed_data(data)
        return False, b""


def negotiated(http: web.BaseRequest, subresource: str) -> str:
    """Return the protocol that both sides speak. Raises ApiError 403 in upstream's words."""
    offered = [each.strip() for text in http.headers.getall(VERSION, []) for each in text.split(",")]
    spoken = SPOKEN[subresource]
    if spoken not in offered:
        why = f"unable to negotiate protocol: client supports [{' '.join(offered)}], server accepts [{spoken}]"
        raise ApiError(403, "Forbidden", f"unable to upgrade: {why}")
    return spoken


class SpdyClient(web.StreamResponse):
    """The client's side: iterated, it yields messages for the kubelet; what is sent to it becomes frames."""

    _length_check = False  # as of a WebSocket: what follows the headers is no body

    def __init__(self, protocol: str) -> None:
        headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", VERSION: protocol}
        super().__init__(status=101, headers=headers)
        self.forwards = protocol == PORT_FORWARD
        self.ws_protocol = f"SPDY/3.1+{protocol}" if self.forwards else protocol
        self.incoming, self.decoder, self.encoder = Incoming(CHUNK), spdy.Decoder(), spdy.Encoder()
        self.streams: dict[int, int] = {}  # the client's number of a stream → its channel
        self.opened = asyncio.Condition()
        self.over = False

    async def switch(self, http: web.BaseRequest) -> None:
        """Leave HTTP."""
        assert http.transport is not None
        self.force_close()
        self.incoming.set_transport(http.transport)
        http.protocol.set_parser(self.incoming)  # type: ignore[arg-type]
        await self.prepare(http)

    async def __aiter__(self) -> AsyncIterator[Message]:
        try:
            while data := await self.incoming.read(CHUNK):
                for each in (
                    [data] if self.forwards else [out for f in self.decoder.feed(data) for out in await self._take(f)]
                ):
                    yield Message(each)
        except spdy.ProtocolError:
            pass  # there is nothing to say in a language that the other side does not speak

    async def _take(self, frame: Frame) -> list[bytes]:
        """Return what a frame tells the kubelet."""
        if frame.kind == SYN_STREAM:
            async with self.opened:
                self.streams[frame.stream] = CHANNELS.get(frame.headers.get("streamtype", ""), CLOSE)
                await self._write(Frame(SYN_REPLY, frame.stream))
                self.opened.notify_all()
        elif frame.kind == PING:
            await self._write(frame)
        channel = self.streams.get(frame.stream, CLOSE)
        if frame.kind != DATA or channel in (*ANSWERS, CLOSE):
            return []
        said = [bytes((channel,)) + frame.data] if frame.data else []
        return said + ([bytes((CLOSE, channel))] if frame.flags & FIN else [])

    async def send_frame(self, data: bytes, kind: aiohttp.WSMsgType) -> None:
        """Tell the client what the kubelet said; waits while it is slow, or has not opened the stream."""
        if self.forwards:
            await self.write(data)
            return
        async with self.opened:
            await self.opened.wait_for(lambda: data[0] in self.streams.values())
        await self._write(*(Frame(DATA, each, data=data[1:]) for each in self._of(data[0])))

    async def send_bytes(self, data: bytes) -> None:
        await self.send_frame(data, aiohttp.WSMsgType.BINARY)

    def _of(self, *channels: int) -> Iterator[int]:
        return (number for number, channel in self.streams.items() if channel in channels)

    async def _write(self, *frames: Frame) -> None:
        await self.write(b"".join(map(self.encoder.encode, frames)))

    async def close(self, *, code: int = 0) -> None:
        """End what the client reads, and let it hang up."""
        if self.over:
            return
        self.over = True
        try:
            await self._write(*(Frame(DATA, each, FIN) for each in self._of(*ANSWERS)))
            async with asyncio.timeout(CLOSE_SECONDS):
                while not self.forwards and await self.incoming.read(CHUNK):
                    pass  # of what is still said nothing can be done
        except (TimeoutError, ConnectionError):
            pass
