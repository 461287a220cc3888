"""The pause process of a pod: holds its namespaces, starts, signals and reaps its containers, keeps their logs.

Stands for pause and for the container runtime's shim in one. It is forked by the zygote, single-threaded, and outlives
the kubelet: a kubelet that starts again finds it by its directory and talks to its socket. It is pid 1 of the pod's pid
namespace, so when it dies the kernel ends every container of the pod with it.

The pod's directory (made by runtime.py):
    pause.sock                                   where pause listens; one JSON message a request
    containers/<name>/<attempt>/config.json      what to run; written before the request to start it
    containers/<name>/<attempt>/termination-log  what the container says of its end
    containers/<name>/<attempt>/state.json       what became of it; replaced as a whole, so a reader sees old or new

Requests: start, signal (answered {} or {"error": ...}); watch (a message whenever a state changed); follow (a message
whenever a container's log grew, end of file when the container ended); exit (the whole pod ends, unanswered).
Invariants: polls nothing but containers with limits (limits.py); no request makes it wait for a container's own work.
Left out: attach and exec.

Upstream: build/pause, github.com/containerd/containerd cmd/containerd-shim-runc-v2
"""

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from labkit.glassbox.kubelet import container, limits
from labkit.glassbox.kubelet.log_writer import LogWriter

CHUNK = 65536
MAX_MESSAGE = 4096  # bytes of a termination message
Key = tuple[str, int]  # container's name, attempt


class Pause:
    """One pod's sandbox, seen from inside."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.selector = selectors.DefaultSelector()
        self.states: dict[Key, dict] = {}
        self.alive: dict[int, Key] = {}  # by the pid of the container's first process
        self.open_logs: dict[Key, int] = {}  # pipes still open: a log ends after the process that wrote it
        self.limits = limits.Enforcer()
        self.killed: set[Key] = set()  # for their memory
        self.watchers: list[socket.socket] = []
        self.followers: dict[Key, list[socket.socket]] = {}

    def run(self, listener: socket.socket) -> NoReturn:
        """Serve until told to exit."""
        self._on(listener.fileno(), lambda: self._accept(listener))
        self._wakeups = _child_signals()
        self._on(self._wakeups, self._reap)
        while True:
            for ready, _ in self.selector.select(self.limits.wait(time.monotonic())):
                ready.data()
            self.killed |= {*self.limits.look(time.monotonic(), {})}

    # requests

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        message = connection.recv(CHUNK)
        if not message:
            connection.close()
            return
        request = json.loads(message)
        try:
            answer = self.requests[request["do"]](self, connection, request)
        except Exception as error:
            answer = {"error": str(error)}
        if answer is not None:
            _send(connection, answer)
            connection.close()

    def start(self, connection: socket.socket, request: dict) -> dict:
        """Start a container; its state tells what came of it, a failed start included."""
        key = request["container"], request["attempt"]
        config = json.loads((self._directory(key) / "config.json").read_text())
        log = LogWriter(Path(config["log"]))
        pipes = {"stdout": os.pipe(), "stderr": os.pipe()}
        state = {"created_at": time.time(), "started_at": time.time()}
        self.open_logs[key] = 2
        for stream, (reading, _) in pipes.items():
            os.set_blocking(reading, False)
            self._on(reading, self._pump(key, reading, stream, log))
        try:
            pid, machine_pid = container.start(config, pipes["stdout"][1], pipes["stderr"][1])
        except container.StartError as error:
            failure = {"exit_code": 128, "reason": "StartError", "message": str(error), "finished_at": time.time()}
            self._write(key, state | failure)
        else:
            self.alive[pid] = key
            self.limits.add(key, machine_pid, limits.Limits(**config["limits"]), time.monotonic())
            self._write(key, state | {"pid": machine_pid, "started_at": time.time()})
        finally:
            for _, writing in pipes.values():
                os.close(writing)
        return {}

    def signal(self, connection: socket.socket, request: dict) -> dict:
        """Send a signal to a container's first process; nothing if it has ended."""
        key = request["container"], request["attempt"]
        for pid, running in self.alive.items():
            if running == key:
                os.kill(pid, request["signal"])
        return {}

    def watch(self, connection: socket.socket, request: dict) -> None:
        """Keep the connection, to tell it of every change."""
        connection.setblocking(False)
        self.watchers.append(connection)
        self._forget_when_closed(connection, self.watchers)

    def follow(self, connection: socket.socket, request: dict) -> dict | None:
        """Keep the connection, to tell it when the container's log has grown."""
        key = request["container"], request["attempt"]
        if key not in self.open_logs:
            return {}  # ended: the log is complete
        connection.setblocking(False)
        followers = self.followers.setdefault(key, [])
        followers.append(connection)
        self._forget_when_closed(connection, followers)
        return None

    def exit(self, connection: socket.socket, request: dict) -> NoReturn:
        """End, and with it, by the kernel, all that runs in the pod."""
        os._exit(0)

    requests: dict[str, Callable] = {"start": start, "signal": signal, "watch": watch, "follow": follow, "exit": exit}

    # events

    def _reap(self) -> None:
        os.read(self._wakeups, CHUNK)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if key := self.alive.pop(pid, None):
                self.limits.remove(key)
                why = {"reason": "OOMKilled"} if key in self.killed else {}
                self._write(key, self.states[key] | _ending(status) | why | self._last_words(key))

    def _pump(self, key: Key, pipe: int, stream: str, log: LogWriter) -> Callable[[], None]:
        def pump() -> None:
            data = os.read(pipe, CHUNK)
            if data:
                log.write(stream, data, time.time_ns())
                self._tell(self.followers.get(key, []))
                return
            log.finish(stream, time.time_ns())
            self.selector.unregister(pipe)
            os.close(pipe)
            self.open_logs[key] -= 1
            if self.open_logs[key] == 0:
                del self.open_logs[key]
                log.close()
                for follower in self.followers.pop(key, []):
                    self._close(follower)

        return pump

    def _write(self, key: Key, state: dict) -> None:
        self.states[key] = state
        path = self._directory(key) / "state.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.rename(path)
        self._tell(self.watchers)

    def _last_words(self, key: Key) -> dict:
        """Return what the container left in its termination log, for the pod's status."""
        with open(self._directory(key) / "termination-log", "rb") as file:
            return {"message": file.read(MAX_MESSAGE).decode(errors="replace")}

    def _tell(self, connections: list[socket.socket]) -> None:
        for connection in connections:
            _send(connection, {})

    # connections

    def _forget_when_closed(self, connection: socket.socket, group: list[socket.socket]) -> None:
        def closed() -> None:
            if connection in group:
                group.remove(connection)
            self._close(connection)

        self._on(connection.fileno(), closed)

    def _close(self, connection: socket.socket) -> None:
        self.selector.unregister(connection.fileno())
        connection.close()

    def _on(self, fd: int, action: Callable[[], None]) -> None:
        self.selector.register(fd, selectors.EVENT_READ, action)

    def _directory(self, key: Key) -> Path:
        return self.directory / "containers" / key[0] / str(key[1])


def _ending(status: int) -> dict:
    """What a wait status says, in the words of a pod's status."""
    code = os.waitstatus_to_exitcode(status)
    ended = {"finished_at": time.time(), "reason": "Completed" if code == 0 else "Error"}
    if code < 0:
        return ended | {"exit_code": 128 - code, "signal": -code}
    return ended | {"exit_code": code}


def _send(connection: socket.socket, message: dict) -> None:
    try:
        connection.send(json.dumps(message).encode())
    except BlockingIOError:
        pass  # it has unread messages, so it will look again anyway
    except OSError:
        pass  # gone; the end of file is seen next


def _child_signals() -> int:
    """Return a pipe that becomes readable when a child ends."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading
