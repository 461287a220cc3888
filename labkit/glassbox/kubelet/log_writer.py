"""A container's log file, as pause writes it: an entry a line of output, in the container runtime interface's format.

    2026-01-01T12:00:00.123456789Z stdout F hello

F marks a whole line, P one that goes on in the next entry: longer than 16 KiB, or the last of the output and without
a newline. The file is kept small: at 10 MiB it becomes `<name>.1`, what was that `<name>.2` and so on, and a new one
begins; of five files in all the oldest goes. A full disk costs log lines, never the container.

Left out: compression of old files (and upstream names them by date).

Upstream: github.com/containerd/containerd internal/cri/io/logger.go; pkg/kubelet/logs/container_log_manager.go
"""

import os
import time
from contextlib import suppress
from pathlib import Path

MAX_LINE = 16 * 1024  # bytes
MAX_FILE = 10 * 1024 * 1024  # bytes: containerLogMaxSize
MAX_FILES = 5  # containerLogMaxFiles


class LogWriter:
    """Turns what a container writes into log entries."""

    def __init__(self, path: Path, max_file: int = MAX_FILE) -> None:
        self.path, self.max_file = path, max_file
        self._rest = {"stdout": b"", "stderr": b""}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def write(self, stream: str, data: bytes, now: int) -> None:
        """Log `data`, read from `stream` at `now` (nanoseconds since the epoch)."""
        entries, self._rest[stream] = split(self._rest[stream] + data)
        self._append(entries, stream, now)

    def finish(self, stream: str, now: int) -> None:
        """Log what the stream's end left without a newline."""
        if rest := self._rest[stream]:
            self._rest[stream] = b""
            self._append([(b"P", rest)], stream, now)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _append(self, entries: list[tuple[bytes, bytes]], stream: str, now: int) -> None:
        if not entries:
            return
        head = f"{rfc3339_nano(now)} {stream} ".encode()
        text = b"".join(head + tag + b" " + line + b"\n" for tag, line in entries)
        try:
            if self._size and self._size + len(text) > self.max_file:
                self._rotate()
            self._size += os.write(self._file, text)
        except OSError:
            pass

    def _rotate(self) -> None:
        for number in reversed(range(MAX_FILES - 1)):
            with suppress(FileNotFoundError):
                os.rename(numbered(self.path, number), numbered(self.path, number + 1))
        os.close(self._file)
        self._open()

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._file).st_size


def numbered(path: Path, number: int) -> Path:
    """Return where a log lies that so many new files have followed."""
    return path.with_name(f"{path.name}.{number}") if number else path


def split(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Cut `data` into (tag, line) entries; return them and what still waits for its newline."""
    *lines, rest = data.split(b"\n")
    entries = [entry for line in lines for entry in _cut(line)]
    while len(rest) >= MAX_LINE:
        entries.append((b"P", rest[:MAX_LINE]))
        rest = rest[MAX_LINE:]
    return entries, rest


def _cut(line: bytes) -> list[tuple[bytes, bytes]]:
    parts = [line[i : i + MAX_LINE] for i in range(0, len(line), MAX_LINE)] or [b""]
    return [(b"P", part) for part in parts[:-1]] + [(b"F", parts[-1])]


def rfc3339_nano(now: int) -> str:
    """Write nanoseconds since the epoch as Go's RFC3339Nano, in UTC, without trailing zeros."""
    seconds, nanos = divmod(now, 1_000_000_000)
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"
