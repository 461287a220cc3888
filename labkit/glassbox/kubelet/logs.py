"""Reads container logs back: the last lines, those since a time, and what is written from now on.

The format is log_writer.py's. As upstream, only the file that is being written counts at the beginning of a reading; a
reader that follows goes on in the files that came after, be it that several did since it last looked.

Upstream: k8s.io/cri-client/pkg/logs/logs.go
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from labkit.glassbox import clock
from labkit.glassbox.kubelet.log_writer import MAX_FILES, numbered

BLOCK = 65536


@dataclass(frozen=True)
class LogOptions:
    """What of a log is asked for."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None  # lines
    since: float | None = None  # seconds since the epoch
    limit: int | None = None  # bytes


class LogReader:
    """One reading of a log, from where the options say; `read` gives what is new each time."""

    def __init__(self, path: Path, options: LogOptions) -> None:
        self.path, self.options = path, options
        self._left = options.limit
        self._rest = b""
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by close()
        if options.tail is not None:
            self._file.seek(tail_position(self._file.fileno(), options.tail))

    def read(self) -> Iterator[bytes]:
        """Return the output that was logged since the last call."""
        yield from self._read_file()
        while newer := self._newer():
            self._file.close()
            self._file, self._rest = newer, b""
            yield from self._read_file()

    @property
    def exhausted(self) -> bool:
        """Whether the limit of bytes is reached."""
        return self._left == 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_file(self) -> Iterator[bytes]:
        while not self.exhausted and (block := self._file.read(BLOCK)):
            *lines, self._rest = (self._rest + block).split(b"\n")
            text = b"".join(output(line, self.options) for line in lines)
            if self._left is not None:
                text = text[: self._left]
                self._left -= len(text)
            if text:
                yield text

    def _newer(self) -> BinaryIO | None:
        """Open the file that followed the one being read, None if that is still the newest."""
        ours = os.fstat(self._file.fileno()).st_ino
        for number in range(MAX_FILES):
            path = numbered(self.path, number)
            try:
                if os.stat(path).st_ino != ours:
                    continue
                if number == 0:
                    return None
                newer = open(numbered(self.path, number - 1), "rb")  # noqa: SIM115 - becomes self._file
            except FileNotFoundError:
                continue
            if os.stat(path).st_ino == ours:
                return newer
            newer.close()  # they were renamed meanwhile
            return self._newer()
        return self._oldest()

    def _oldest(self) -> BinaryIO | None:
        """Open the oldest file there is: the one being read is gone, and some after it."""
        for number in reversed(range(MAX_FILES)):
            with suppress(FileNotFoundError):
                return open(numbered(self.path, number), "rb")
        return None


def output(entry: bytes, options: LogOptions) -> bytes:
    """Return what an entry of the log shows: the container's own bytes, dated if asked for; nothing if too old."""
    date, _, rest = entry.partition(b" ")
    _, _, rest = rest.partition(b" ")
    tag, _, text = rest.partition(b" ")
    if options.since is not None and clock.parse(_microseconds(date.decode())) < options.since:
        return b""
    line = text if tag == b"P" else text + b"\n"
    return date + b" " + line if options.timestamps else line


def tail_position(file: int, lines: int) -> int:
    """Return where the last `lines` entries of a log begin, reading from its end."""
    position = os.fstat(file).st_size
    wanted = lines + 1  # the newline before the first of them
    while position > 0:
        size = min(BLOCK, position)
        block = os.pread(file, size, position - size)
        found = block.count(b"\n")
        if found >= wanted:
            return position - size + _after_newline_from_end(block, wanted)
        wanted -= found
        position -= size
    return 0


def _after_newline_from_end(block: bytes, count: int) -> int:
    index = len(block)
    for _ in range(count):
        index = block.rindex(b"\n", 0, index)
    return index + 1


def _microseconds(date: str) -> str:
    """Cut nanoseconds to what Python reads."""
    whole, _, fraction = date.rstrip("Z").partition(".")
    return f"{whole}.{fraction[:6].ljust(6, '0')}Z"
