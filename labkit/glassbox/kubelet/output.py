"""What a container writes: from its pipes, or its terminal, into its log and to whoever is attached.

Runs in pause (sandbox.py), which is single-threaded and must never wait: a reader that is attached and slow makes the
container wait, as on a real cluster, and nothing else. Then the pipe is left unread until that reader has taken what
there was.

Upstream: github.com/containerd/containerd internal/cri/io/container_io.go
"""

import os
import select
import selectors
import time
from collections.abc import Callable
from typing import Protocol

from labkit.glassbox.kubelet.log_writer import LogWriter

CHUNK = 65536


class Loop(Protocol):
    """Calls back when a file is ready."""

    def on(self, fd: int, action: Callable[[], None], events: int = selectors.EVENT_READ) -> None: ...

    def off(self, fd: int) -> None: ...


class Output:
    """One stream of one container; `grew` is called after each entry in its log, `ended` at its end."""

    def __init__(self, fd: int, stream: str, log: LogWriter, loop: Loop, grew: Callable[[], None],
                 ended: Callable[["Output"], None]) -> None:  # fmt: skip
        self.fd, self.stream, self.log, self.loop, self.grew, self.ended = fd, stream, log, loop, grew, ended
        self.readers: dict[int, bytes] = {}  # attached pipes, and what each has yet to take
        self.open = True
        loop.on(fd, self.pump)

    def attach(self, pipe: int) -> None:
        """Copy all that is written from now on to a pipe, which is this object's to close."""
        os.set_blocking(pipe, False)
        self.readers[pipe] = b""

    def pump(self) -> None:
        """Pass on what there is to read."""
        data = _read(self.fd)
        if not data:
            return self.finish()
        self.log.write(self.stream, data, time.time_ns())
        self.grew()
        for pipe in [*self.readers]:
            self._copy(pipe, data)
        if any(self.readers.values()):
            self.loop.off(self.fd)
        return None

    def drain(self) -> None:
        """Pass on all that there is to read now, of a container that has ended."""
        while self.open and not any(self.readers.values()) and select.select([self.fd], [], [], 0)[0]:
            self.pump()

    def finish(self) -> None:
        """Close all; of a terminal this is a hang-up."""
        self.open = False
        self.log.finish(self.stream, time.time_ns())
        if not any(self.readers.values()):
            self.loop.off(self.fd)
        os.close(self.fd)
        for pipe, rest in self.readers.items():
            if rest:
                self.loop.off(pipe)
            os.close(pipe)
        self.readers.clear()
        self.ended(self)

    def _copy(self, pipe: int, data: bytes) -> None:
        try:
            self.readers[pipe] = data[os.write(pipe, data) :]
        except BlockingIOError:
            self.readers[pipe] = data
        except OSError:  # it is not attached any more
            del self.readers[pipe]
            os.close(pipe)
            return
        if self.readers[pipe]:
            self.loop.on(pipe, lambda: self._catch_up(pipe), selectors.EVENT_WRITE)

    def _catch_up(self, pipe: int) -> None:
        self.loop.off(pipe)
        self._copy(pipe, self.readers[pipe])
        if not any(self.readers.values()):
            self.loop.on(self.fd, self.pump)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, CHUNK)
    except OSError:  # of a terminal: its last user has closed it
        return b""
