"""The standard files of a process in a container: its ends, which are handed over, and ours.

Pause makes them for a container's first process, the kubelet for a command that joins it. A process gets three files,
or a socket on which it sends the terminal that it makes (container.py).

Invariants: our ends never block; what was handed over is the process's alone, so that its end is the end of our files.

Upstream: github.com/containerd/containerd pkg/cio, github.com/containerd/console
"""

import os
import socket
from collections.abc import Container

OUTPUTS = ("stdout", "stderr")


class Files:
    """Our ends: `input`, `outputs` by name, or the `terminal`, which is both; their ends, until `hand_over`."""

    def __init__(self, stdin: bool, tty: bool, outputs: Container[str] = OUTPUTS) -> None:
        self.input: int | None = None
        self.outputs: dict[str, int] = {}
        self.terminal: int | None = None
        self.console: socket.socket | None = None
        if tty:
            self.console, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.theirs = [theirs.detach()]
            return
        reading, self.input = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), None)
        self.theirs = [reading]
        for name in OUTPUTS:
            if name in outputs:
                self.outputs[name], writing = os.pipe()
            else:
                writing = os.open(os.devnull, os.O_WRONLY)
            self.theirs.append(writing)
        self._unblock()

    def hand_over(self) -> None:
        """Close their ends, which the process has by now."""
        while self.theirs:
            os.close(self.theirs.pop())

    def receive_terminal(self) -> None:
        """Take the terminal that the process sends; there is none if it could not start. Waits for it."""
        if self.console:
            with self.console as console:
                _, given, _, _ = socket.recv_fds(console, 64, 1)
            self.console = None
            for fd in given:
                self.take_terminal(fd)

    def take_terminal(self, fd: int) -> None:
        """Have a terminal instead of an input and outputs."""
        self.terminal, self.input = fd, fd
        self.outputs |= {} if self.outputs else {"stdout": fd}
        self._unblock()

    def take_input(self, fd: int) -> None:
        """Have the input of a process that runs."""
        self.input = fd
        self._unblock()

    def close_input(self) -> None:
        """Tell the process that its input has ended; a terminal goes on."""
        if self.input is not None and self.terminal is None:
            os.close(self.input)
        self.input = None

    def close(self) -> None:
        """Close all that is still open."""
        self.hand_over()
        if self.console:
            self.console.close()
        for fd in {self.input, self.terminal, *self.outputs.values()} - {None}:
            os.close(fd)  # type: ignore[arg-type]
        self.input = self.terminal = None
        self.outputs = {}

    def _unblock(self) -> None:
        for fd in {self.input, *self.outputs.values()} - {None}:
            os.set_blocking(fd, False)  # type: ignore[arg-type]
