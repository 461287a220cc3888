"""A client and a process: what one says the other hears, until the process or the client has ended.

Upstream: k8s.io/cri-streaming pkg/streaming/remotecommand
"""

import asyncio
import fcntl
import json
import os
import struct
import termios
from collections.abc import Awaitable
from contextlib import suppress

from labkit.glassbox.kubelet import channels
from labkit.glassbox.kubelet.channels import Channels
from labkit.glassbox.kubelet.files import Files

PIPE_HOLDS = 65536  # bytes


class Conversation:
    """Copies between a client's channels and a process's files."""

    def __init__(self, client: Channels, files: Files, hears: bool) -> None:
        self.client, self.files = client, files
        self.hears = hears  # the client's input is wanted
        self.outputs = {channels.NUMBERS[name]: fd for name, fd in files.outputs.items()}

    async def until(self, end: Awaitable[None] | None = None) -> None:
        """Copy both ways until the `end`, or that of the output. Raises ConnectionError when the client hangs up."""
        feeding = asyncio.create_task(self._feed())
        copying = [asyncio.create_task(self._copy(*each)) for each in self.outputs.items()]
        ending = asyncio.ensure_future(end) if end else asyncio.gather(*copying)
        try:
            await asyncio.wait([feeding, ending], return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                raise ConnectionResetError("the client has hung up")
            ending.result()
        finally:
            for task in (feeding, ending, *copying):
                task.cancel()
            await asyncio.gather(feeding, ending, *copying, return_exceptions=True)

    async def last_words(self) -> None:
        """Send what a process wrote before its end and nobody has read; what it left running may write on."""
        for channel, fd in self.outputs.items():
            rest = b""
            with suppress(OSError):
                while len(rest) < PIPE_HOLDS and (data := os.read(fd, PIPE_HOLDS)):
                    rest += data
            if rest:
                await self.client.send(channel, rest)

    async def _feed(self) -> None:
        async for channel, data in self.client:
            if channel == channels.STDIN and self.hears:
                await self._write(data)
            elif channel == channels.RESIZE:
                self._resize(data)
            elif channel == channels.CLOSE and data[:1] == bytes((channels.STDIN,)):
                self.files.close_input()

    async def _copy(self, channel: int, fd: int) -> None:
        while data := await channels.read(fd):
            await self.client.send(channel, data)

    async def _write(self, data: bytes) -> None:
        if self.files.input is not None:
            try:
                await channels.write(self.files.input, data)
            except OSError:  # the process reads no more
                self.files.close_input()

    def _resize(self, message: bytes) -> None:
        """Set the terminal's size, given as {"Width": 80, "Height": 24}."""
        if self.files.terminal is not None:
            with suppress(ValueError, KeyError, struct.error):
                size = json.loads(message)
                packed = struct.pack("HHHH", size["Height"], size["Width"], 0, 0)
                fcntl.ioctl(self.files.terminal, termios.TIOCSWINSZ, packed)
