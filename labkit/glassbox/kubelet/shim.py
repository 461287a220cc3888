"""Talks to a pod's pause process (sandbox.py): requests, and commands that run in its containers.

Stands for the client of containerd's shim. A request is one JSON message on a connection of its own; files travel with
it, so that what a command reads and writes goes straight between its own ends.

Invariants: hanging up ends the command; a command's output is drained to its end or its limit, never left to block it.

Upstream: github.com/containerd/containerd internal/cri/server/container_execsync.go
"""

import json
import os
import secrets
import select
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labkit.glassbox.kubelet.files import Files

ANSWER_TIME = 30  # seconds; pause answers in milliseconds unless the machine is stuck
MAX_OUTPUT = 16 * 1024 * 1024  # bytes that are kept of a command's output
MESSAGE = 65536  # bytes; as much as a pipe holds


class ExecError(Exception):
    """A command could not be started; the text is upstream's."""


class ExecTimeout(Exception):
    """A command took too long, and was killed."""


@dataclass(frozen=True)
class ExecResult:
    """How a command ended, and what it wrote to its standard output and error."""

    exit_code: int
    output: bytes


def connect(path: Path) -> socket.socket:
    """Return a connection to a pause process; raises OSError when it is dead."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(ANSWER_TIME)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def begin(path: Path, request: dict, files: Sequence[int] = ()) -> socket.socket:
    """Send a request and return the connection on which its answer will come. Raises OSError."""
    connection = connect(path)
    try:
        socket.send_fds(connection, [json.dumps(request).encode()], files)
    except BaseException:
        connection.close()
        raise
    return connection


def ask(path: Path, request: dict) -> dict:
    """Return the answer to a request. Raises OSError."""
    with begin(path, request) as pause:
        answer = pause.recv(MESSAGE)
    if not answer:
        raise ConnectionError("the pod's sandbox is gone")
    told = json.loads(answer)
    if "error" in told:
        raise OSError(told["error"])
    return told


def exec_request(container: str, attempt: int, args: Sequence[str], env: dict[str, str] | None = None) -> dict:
    """Return the request to run a command in a container."""
    return {"do": "exec", "container": container, "attempt": attempt, "args": [*args], "env": env or {}}


def attach_request(container: str, attempt: int, stdin: bool) -> dict:
    """Return the request to copy a container's outputs to two files that go along, and for its input if wanted."""
    return {"do": "attach", "container": container, "attempt": attempt, "stdin": stdin}


def attached(process: socket.socket, files: Files) -> None:
    """Take the input, or the terminal, that the answer to an attach brings. Raises OSError."""
    answer, given, _, _ = socket.recv_fds(process, MESSAGE, 1)
    told: dict = json.loads(answer) if answer else {"error": "the pod's sandbox is gone"}
    if "error" in told:
        raise OSError(told["error"])
    for fd in given:
        files.take_terminal(fd) if told["tty"] else files.take_input(fd)


def exit_code(answer: bytes) -> int:
    """Return what the answer to an exec says. Raises ExecError when the command never ran."""
    told: dict = json.loads(answer) if answer else {"error": "the pod's sandbox is gone"}
    if "error" in told:
        words = f"OCI runtime exec failed: exec failed: unable to start container process: {told['error']}"
        raise ExecError(f'failed to exec in container: failed to start exec "{secrets.token_hex(32)}": {words}')
    return told["exit_code"]


def run(path: Path, request: dict, timeout: float) -> ExecResult:
    """Run a command without input; collect what it writes. Raises ExecError, or ExecTimeout after `timeout` seconds."""
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        process = begin(path, request, [nothing, writing, writing])
    except OSError as error:
        os.close(reading)
        raise ExecError(str(error)) from None
    finally:
        os.close(writing)
        os.close(nothing)
    with process, os.fdopen(reading, "rb", buffering=0) as pipe:
        os.set_blocking(reading, False)
        result = _collect(process, pipe.fileno(), time.monotonic() + timeout)
    if result is None:
        raise ExecTimeout(f'command timed out: "{" ".join(request["args"])}" timed out after {timeout:g}s')
    return result


def _collect(process: socket.socket, pipe: int, deadline: float) -> ExecResult | None:
    """Return how a command ended, None if it had not at the deadline."""
    output = bytearray()
    wanted = select.poll()
    wanted.register(pipe, select.POLLIN)
    wanted.register(process, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        ready = dict(wanted.poll(max(left, 0) * 1000))
        if pipe in ready and not _read(pipe, output):
            wanted.unregister(pipe)
        if process.fileno() in ready:
            code = exit_code(process.recv(MESSAGE))
            _read(pipe, output)  # all that the pipe holds; what the command left running may write on
            return ExecResult(code, bytes(output))
        if left <= 0:
            return None


def _read(pipe: int, output: bytearray) -> bool:
    """Append what the pipe holds; tell whether there was something."""
    data = b""
    with suppress(BlockingIOError):
        data = os.read(pipe, MESSAGE)
    output += data[: MAX_OUTPUT - len(output)]
    return bool(data)
