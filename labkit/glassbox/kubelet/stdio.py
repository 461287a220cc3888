"""The standard files of a process in a container, seen from the kubelet: our ends of its pipes, or of its terminal.

Invariants: our ends never block; all is closed with the ExitStack that a set of files is made with; what was handed
over is the process's alone, so that its end is the end of our files.

Upstream: k8s.io/cri-streaming (exec, attach), github.com/containerd/console
"""

import fcntl
import json
import os
import socket
import struct
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from labkit.glassbox.kubelet import channels
from labkit.glassbox.kubelet.channels import STDERR, STDOUT

PIPE_HOLDS = 65536  # bytes


@dataclass(frozen=True)
class Wanted:
    """Which streams a client asks for, and what to run."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False
    command: tuple[str, ...] = ()


class Stdio:
    """Input, outputs by channel, and the terminal if there is one."""

    def __init__(self, cleanup: ExitStack) -> None:
        cleanup.callback(self._close)
        self._kept: list[int] = []
        self.input: int | None = None
        self.outputs: dict[int, int] = {}
        self.terminal: int | None = None
        self._theirs: list[int] = []
        self._console: socket.socket | None = None

    @classmethod
    def for_exec(cls, asked: Wanted, cleanup: ExitStack) -> "Stdio":
        """Make the files of a new process: pipes, or a socket on which it will send its terminal."""
        files = cls(cleanup)
        if asked.tty:
            files._console, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            files._console.setblocking(False)
            cleanup.enter_context(files._console)
            files._theirs = [theirs.detach()]
            return files
        if asked.stdin:
            reading, files.input = os.pipe()
            files._keep(files.input)
            files._theirs.append(reading)
        else:
            files._theirs.append(os.open(os.devnull, os.O_RDONLY))
        for channel, on in ((STDOUT, asked.stdout), (STDERR, asked.stderr)):
            files._add_output(channel) if on else files._theirs.append(os.open(os.devnull, os.O_WRONLY))
        return files

    @classmethod
    def for_attach(cls, asked: Wanted, cleanup: ExitStack) -> "Stdio":
        """Make pipes for what a container writes."""
        files = cls(cleanup)
        for channel, on in ((STDOUT, asked.stdout), (STDERR, asked.stderr)):
            if on:
                files._add_output(channel)
        return files

    @contextmanager
    def theirs(self) -> Iterator[list[int]]:
        """Give the process's ends, which are closed here as soon as they were sent."""
        try:
            yield self._theirs
        finally:
            while self._theirs:
                os.close(self._theirs.pop())

    async def receive_terminal(self, asked: Wanted) -> None:
        """Wait for the terminal that the new process makes; there is none if it could not start."""
        if self._console is None:
            return
        await channels.readable(self._console.fileno())
        _, given, _, _ = socket.recv_fds(self._console, 64, 1)
        self.take_input(given, asked)
        if given and asked.stdout:
            self.outputs = {STDOUT: given[0]}

    def take_input(self, given: list[int], asked: Wanted) -> None:
        """Take the input, or the terminal, of a process that has it already."""
        for fd in given:
            self._keep(fd)
            self.terminal = fd if asked.tty else None
            self.input = fd if asked.stdin else None

    async def write(self, data: bytes) -> None:
        """Write to the process's input, if it still reads."""
        if self.input is not None:
            try:
                await channels.write(self.input, data)
            except OSError:
                self.close_input()

    def close_input(self) -> None:
        """Tell the process that its input has ended; a terminal goes on."""
        if self.input is not None and self.terminal is None:
            os.close(self._kept.pop(self._kept.index(self.input)))
        self.input = None

    def resize(self, message: bytes) -> None:
        """Set the terminal's size, given as {"Width": 80, "Height": 24}."""
        if self.terminal is not None:
            with suppress(ValueError, KeyError, struct.error):
                size = json.loads(message)
                packed = struct.pack("HHHH", size["Height"], size["Width"], 0, 0)
                fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, packed)

    def last(self, channel: int) -> bytes:
        """Return what the process wrote before its end and nobody has read; what it left running may write on."""
        rest = b""
        with suppress(OSError):
            while len(rest) < PIPE_HOLDS and (data := os.read(self.outputs[channel], PIPE_HOLDS)):
                rest += data
        return rest

    def _add_output(self, channel: int) -> None:
        self.outputs[channel], writing = os.pipe()
        self._keep(self.outputs[channel])
        self._theirs.append(writing)

    def _keep(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._kept.append(fd)

    def _close(self) -> None:
        for fd in self._kept:
            os.close(fd)
