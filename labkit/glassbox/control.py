"""The cluster's lock and its control socket: how the outside and the machine find each other.

The lock is an open-file-description lock: it belongs to the file as opened by `labkit up`, is inherited over fork by
the machine and its components, and is free as soon as none of them lives; no pid file can be stale. The socket takes
one JSON object a line and answers with one; closing without an answer means that the machine has ended.

Both lie in the state directory, which may be deep: a socket's path has at most 107 bytes, so it is named through
/proc/self/fd.
"""

import fcntl
import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.glassbox.cluster import Layout

SOCKET_NAME = "control.sock"
_FLOCK = struct.Struct("hhqqi4x")  # type, whence, start, length, pid: struct flock on 64-bit Linux


def open_lock(files: Layout) -> int:
    """Open the cluster's lock file, for `take_lock` and `is_locked`."""
    return os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def take_lock(fd: int, *, wait: bool = False) -> bool:
    """Lock the file as opened; tell whether that succeeded."""
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    try:
        fcntl.fcntl(fd, command, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_locked(files: Layout) -> bool:
    """Tell whether a cluster's processes live, without getting in the way of one that starts."""
    try:
        fd = open_lock(files)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        return _FLOCK.unpack(answer)[0] != fcntl.F_UNLCK
    finally:
        os.close(fd)


def listen(files: Layout) -> socket.socket:
    """Open the control socket; the caller holds the lock, so that one that lies there is a dead machine's."""
    (files.root / SOCKET_NAME).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with _short_path(files.root) as path:
        server.bind(path)
    os.chmod(files.root / SOCKET_NAME, 0o600)
    server.listen(16)
    return server


def ask(files: Layout, request: dict[str, Any], *, timeout: float = 30) -> dict[str, Any] | None:
    """Send one request to a running machine; None when there is none, or when it ended instead of answering."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(timeout)
        try:
            with _short_path(files.root) as path:
                client.connect(path)
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as lines:
                answer = lines.readline()
        except (FileNotFoundError, ConnectionError):
            return None
    return json.loads(answer) if answer else None


@contextmanager
def _short_path(directory: Path) -> Iterator[str]:
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET_NAME}"
    finally:
        os.close(fd)
