"""Port-forwarding: connections to a pod's own localhost, carried by a WebSocket.

Two forms. kubectl speaks SPDY inside the WebSocket: each connection is a pair of streams, "data" and "error", opened
when somebody connects. Other clients name the ports in the query and use channels: 2i for the data of the i-th port,
2i+1 for its errors, each opening with the port's number; one connection a port.

A socket is made inside the pod's network namespace and stays there, wherever the thread goes that made it.
Invariant: what waits to be sent is bounded. In SPDY's case a pod that does not read stalls the other connections of
the same kubectl, for that side knows no windows.

Upstream: k8s.io/cri-streaming pkg/portforward, containerd internal/cri/server/sandbox_portforward.go
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress

from aiohttp import WSMsgType, web

from labkit.glassbox import spdy, syscalls
from labkit.glassbox.kubelet import channels
from labkit.glassbox.kubelet.channels import CHUNK, Channels
from labkit.glassbox.kubelet.runtime import Sandbox
from labkit.glassbox.kubelet.streams import NotRunning
from labkit.glassbox.spdy import Frame

log = logging.getLogger(__name__)

SPDY = "SPDY/3.1+portforward.k8s.io"
QUEUED = 64  # chunks that a pod has yet to read
Send = Callable[[bytes], Awaitable[None]]


class PortForward:
    """Serves port-forwards; `find` returns a pod's sandbox or raises NotRunning."""

    def __init__(self, find: Callable[[str, str], Sandbox]) -> None:
        self.find = find

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Forward connections until the client hangs up."""
        where = request.match_info
        try:
            pod = self.find(where["namespace"], where["pod"])
            ports = [int(each) for text in request.query.getall("port", []) for each in text.split(",")]
        except (NotRunning, ValueError) as error:
            return web.Response(status=400, text=str(error))
        socket = web.WebSocketResponse(protocols=(SPDY, channels.V4), compress=False, max_msg_size=0)
        await socket.prepare(request)
        if socket.ws_protocol == SPDY:
            await SpdySession(socket, pod).run()
        else:
            await channel_pairs(Channels(socket), pod, ports)
        await socket.close()
        return socket


class Inbox:
    """What a client sends to a port, until it has no more to say or the connection has ended."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)
        self._closed = False

    async def put(self, data: bytes) -> None:
        """Add data; b"" is the end. Waits while there is too much."""
        if not self._closed:
            await self._queue.put(data)

    def close(self) -> None:
        """Drop what nobody will read, and let go whoever waits."""
        self._closed = True
        while not self._queue.empty():
            self._queue.get_nowait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._queue.get():
            yield data


async def forward(pod: Sandbox, port: int, inbox: Inbox, send: Send, fail: Send) -> None:
    """Connect to a port of the pod and copy both ways until the pod closes; tell of a failure in upstream's words."""
    try:
        reader, writer = await connect(pod, port)
        sending = asyncio.create_task(_write(inbox, writer))
        try:
            while data := await reader.read(CHUNK):
                await send(data)
        finally:
            sending.cancel()
            writer.close()
    except OSError as error:
        await fail(f"error forwarding port {port} to pod {pod.id}, uid : {error}".encode())
    finally:
        inbox.close()


async def _write(inbox: Inbox, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the pod has closed: the reading side sees it
        async for data in inbox:
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def connect(pod: Sandbox, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to localhost inside the pod. Raises OSError."""
    made = _socket_inside(pod.pid)
    try:
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    except OSError as error:
        made.close()
        why = os.strerror(error.errno or 0).lower()
        raise OSError(
            f'failed to execute portforward in network namespace "/proc/{pod.pid}/ns/net": failed to connect to '
            f'localhost:{port} inside namespace "{pod.id}", IPv4: dial tcp4 127.0.0.1:{port}: connect: {why} '
            "IPv6 dial tcp6: address localhost: no suitable address found"
        ) from None
    return await asyncio.open_connection(sock=made)


def _socket_inside(pid: int) -> socket.socket:
    with open(f"/proc/{pid}/ns/net", "rb") as netns, syscalls.inside_netns(netns.fileno()):
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


class Tasks:
    """What runs beside a conversation and ends with it."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task] = set()

    def start(self, work: Coroutine) -> asyncio.Task:
        """Run `work` in the background."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, OSError):
            log.warning("port-forward: %s: %s", type(error).__name__, error)

    async def cancel(self) -> None:
        """End all."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def channel_pairs(client: Channels, pod: Sandbox, ports: list[int]) -> None:
    """Forward one connection a port, until all have ended or the client hangs up."""
    inboxes = {2 * index: Inbox() for index in range(len(ports))}
    tasks, forwards = Tasks(), []
    for (channel, inbox), port in zip(inboxes.items(), ports, strict=True):
        for each in (channel, channel + 1):
            await client.send(each, struct.pack("<H", port))
        out = (lambda data, to=channel: client.send(to, data)), (lambda data, to=channel + 1: client.send(to, data))
        forwards.append(tasks.start(forward(pod, port, inbox, *out)))
    receiving = tasks.start(_receive(client, inboxes))
    try:
        await asyncio.wait([receiving, asyncio.gather(*forwards)], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await tasks.cancel()


async def _receive(client: Channels, inboxes: dict[int, Inbox]) -> None:
    async for channel, data in client:
        if channel in inboxes and data:
            await inboxes[channel].put(data)


class SpdySession:
    """One kubectl: SPDY inside a WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, pod: Sandbox) -> None:
        self.socket, self.pod = socket, pod
        self.decoder, self.encoder, self.tasks = spdy.Decoder(), spdy.Encoder(), Tasks()
        self.inboxes: dict[int, Inbox] = {}  # by the number of a data stream
        self.forwards: dict[int, asyncio.Task] = {}
        self.pairs: dict[str, dict[str, Frame]] = {}  # streams of which the other one has yet to come, by request

    async def run(self) -> None:
        """Answer frames until the client hangs up."""
        try:
            async for message in self.socket:
                for frame in self.decoder.feed(message.data if message.type == WSMsgType.BINARY else b""):
                    await self._take(frame)
        except spdy.ProtocolError:
            pass  # there is nothing to say in a language that the other side does not speak
        finally:
            await self.tasks.cancel()

    async def _take(self, frame: Frame) -> None:
        if frame.kind == spdy.SYN_STREAM:
            await self._open(frame)
        elif frame.kind == spdy.DATA and (inbox := self.inboxes.get(frame.stream)):
            if frame.data:
                await inbox.put(frame.data)
            if frame.flags & spdy.FIN:
                await inbox.put(b"")
        elif frame.kind == spdy.RST_STREAM and (task := self.forwards.get(frame.stream)):
            task.cancel()
        elif frame.kind == spdy.PING:
            await self._send(frame)

    async def _open(self, frame: Frame) -> None:
        await self._send(Frame(spdy.SYN_REPLY, frame.stream))
        pair = self.pairs.setdefault(frame.headers.get("requestid", ""), {})
        pair[frame.headers.get("streamtype", "")] = frame
        if {"data", "error"} <= pair.keys():
            del self.pairs[frame.headers.get("requestid", "")]
            number = pair["data"].stream
            self.inboxes[number] = Inbox()
            self.forwards[number] = self.tasks.start(self._forward(pair["data"], pair["error"]))

    async def _forward(self, data: Frame, error: Frame) -> None:
        try:
            port = int(data.headers.get("port", "0"))
            await forward(self.pod, port, self.inboxes[data.stream], self._into(data), self._into(error))
            for stream in (data.stream, error.stream):
                await self._send(Frame(spdy.DATA, stream, spdy.FIN))
        finally:
            del self.inboxes[data.stream], self.forwards[data.stream]

    def _into(self, stream: Frame) -> Send:
        return lambda data: self._send(Frame(spdy.DATA, stream.stream, data=data))

    async def _send(self, frame: Frame) -> None:
        await self.socket.send_bytes(self.encoder.encode(frame))
