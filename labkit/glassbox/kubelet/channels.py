"""Several streams in one WebSocket, as kubectl exec and attach speak it, and files of an event loop.

A message is binary; its first byte names the channel: 0 standard input, 1 output, 2 error, 3 how it ended (a Status),
4 the size of the terminal. In v5 the message [255, n] closes channel n, so that the end of the input can be told.

Invariant: nothing is read from one side before the other has taken what came before, so a stream of any length takes
the memory of a few chunks.

Upstream: staging/src/k8s.io/apimachinery/pkg/util/remotecommand, k8s.io/client-go tools/remotecommand/websocket.go
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable

from aiohttp import WSMsgType, web

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
NUMBERS = {"stdout": STDOUT, "stderr": STDERR}
CHUNK = 32 * 1024  # bytes


class Channels:
    """A WebSocket's messages by channel."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket

    async def send(self, channel: int, data: bytes) -> None:
        """Send a message; waits while the other side is slow."""
        await self.socket.send_bytes(bytes((channel,)) + data)

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (channel, data) until the other side hangs up."""
        async for message in self.socket:
            data = message.data.encode() if message.type == WSMsgType.TEXT else message.data
            if data:
                yield data[0], data[1:]


async def read(fd: int, size: int = CHUNK) -> bytes:
    """Read from a pipe, a terminal or a socket that does not block; nothing at its end."""
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:
            await readable(fd)
        except OSError:  # of a terminal: its last user has closed it
            return b""


async def write(fd: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError when nobody reads any more."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            loop = asyncio.get_running_loop()
            await _ready(fd, loop.add_writer, loop.remove_writer)


async def readable(fd: int) -> None:
    """Wait until there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    await _ready(fd, loop.add_reader, loop.remove_reader)


async def _ready(fd: int, add: Callable, remove: Callable) -> None:
    ready = asyncio.Event()
    add(fd, ready.set)
    try:
        await ready.wait()
    finally:
        remove(fd)
