"""The pause process of a pod: holds its namespaces, starts, signals and reaps its containers, keeps their logs.

Stands for pause and for the container runtime's shim in one. It is forked by the zygote, single-threaded, and outlives
the kubelet: a kubelet that starts again finds it by its directory and talks to its socket. It is pid 1 of the pod's pid
namespace, so when it dies the kernel ends every container of the pod with it.

The pod's directory (made by runtime.py):
    pause.sock                                   where pause listens; one JSON message a request
    containers/<name>/<attempt>/config.json      what to run; written before the request to start it
    messages/<name>.<attempt>                    what the container says of its end, on a file system of the pod's own
    containers/<name>/<attempt>/state.json       what became of it; replaced as a whole, so a reader sees old or new

Requests: start, signal (answered {} or {"error": ...}); watch (a message whenever a state changed); follow (a message
whenever a container's log grew, end of file when the container ended); exec (comes with the files of the new process,
is answered when that has ended; whoever hangs up before kills it); attach (comes with pipes to copy output to, the
answer brings the container's standard input or terminal); exit (the whole pod ends, unanswered).
Invariants: polls nothing but containers with limits (limits.py); no request makes it wait for a container's own work;
what an exec reads and writes does not pass through here.

Upstream: build/pause, github.com/containerd/containerd cmd/containerd-shim-runc-v2
"""

import json
import os
import re
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from labkit.glassbox.kubelet import container, limits
from labkit.glassbox.kubelet.files import OUTPUTS, Files
from labkit.glassbox.kubelet.log_writer import LogWriter
from labkit.glassbox.kubelet.logs import LogOptions, LogReader
from labkit.glassbox.kubelet.output import CHUNK, Output

MAX_MESSAGE = 4096  # bytes of a termination message
MAX_LOG_LINES, MAX_LOG_MESSAGE = 80, 2048  # lines, bytes of a log that stands for one
MAX_FILES = 3  # that come with a request
Key = tuple[str, int]  # container's name, attempt


@dataclass(frozen=True)
class Joined:
    """A process that runs in a container beside its first one, and who waits for its end."""

    container: Key
    connection: socket.socket


class Pause:
    """One pod's sandbox, seen from inside."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.selector = selectors.DefaultSelector()
        self.states: dict[Key, dict] = {}
        self.alive: dict[int, Key] = {}  # by the pid of the container's first process
        self.joined: dict[int, Joined] = {}  # by the pid of a process that an exec started
        self.outputs: dict[Key, dict[str, Output]] = {}  # those still open: a log ends after the process that wrote it
        self.roots: dict[Key, int] = {}  # mount namespaces of containers that share their pid namespace
        self.inputs: dict[Key, int] = {}  # pipes into containers that read from whoever is attached
        self.limits = limits.Enforcer()
        self.killed: set[Key] = set()  # for their memory
        self.watchers: list[socket.socket] = []
        self.followers: dict[Key, list[socket.socket]] = {}

    def run(self, listener: socket.socket) -> NoReturn:
        """Serve until told to exit."""
        self.on(listener.fileno(), lambda: self._accept(listener))
        self._wakeups = _child_signals()
        self.on(self._wakeups, self._reap)
        while True:
            for ready, _ in self.selector.select(self.limits.wait(time.monotonic())):
                if self.selector.get_map().get(ready.fd) is ready:  # else an action before this one has closed it
                    ready.data()
            joined = {pid: each.container for pid, each in self.joined.items()}
            self.killed |= {*self.limits.look(time.monotonic(), joined)}

    # requests

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        message, files, _, _ = socket.recv_fds(connection, CHUNK, MAX_FILES)
        if not message:
            connection.close()
            return
        request = json.loads(message) | {"files": files}
        try:
            answer = self.requests[request["do"]](self, connection, request)
        except Exception as error:
            answer = {"error": str(error)}
        finally:
            for each in files:
                os.close(each)
        if answer is not None:
            _send(connection, answer)
            connection.close()

    def start(self, connection: socket.socket, request: dict) -> dict:
        """Start a container; its state tells what came of it, a failed start included."""
        key = request["container"], request["attempt"]
        config = json.loads((self._directory(key) / "config.json").read_text())
        files = Files(config["stdin"], config["tty"])
        log = LogWriter(Path(config["log"]))  # before there is a state, from which on one may ask for it
        state = {"created_at": time.time(), "started_at": time.time()}
        try:
            pid, machine_pid = container.start(config, files.theirs, self._beside(config))
        except container.StartError as error:
            failure = {"exit_code": 128, "reason": "StartError", "message": str(error), "finished_at": time.time()}
            self._write(key, state | failure)
        else:
            self.alive[pid] = key
            if config["share_processes"] or config["target"]:
                self.roots[key] = os.stat(f"/proc/{machine_pid}/ns/mnt").st_ino
            self.limits.add(key, machine_pid, limits.Limits(**config["limits"]), time.monotonic())
            self._write(key, state | {"pid": machine_pid, "started_at": time.time()})
        self._take(key, files, log)
        return {}

    def _beside(self, config: dict) -> int | None:
        """Return the machine's pid of the process whose pid namespace a container shares, if any. Raises StartError."""
        if config["share_processes"]:
            return int(os.readlink("/proc/self"))  # ours
        if not (name := config["target"]):
            return None
        running = [self.states[key]["pid"] for key in self.alive.values() if key[0] == name]
        if not running:
            raise container.StartError(f'unable to find target container "{name}"')
        return running[0]

    def signal(self, connection: socket.socket, request: dict) -> dict:
        """Send a signal to a container's first process; nothing if it has ended."""
        key = request["container"], request["attempt"]
        for pid, running in self.alive.items():
            if running == key:
                os.kill(pid, request["signal"])
        return {}

    def limit(self, connection: socket.socket, request: dict) -> dict:
        """Hold a container that runs to the limits that its configuration has by now."""
        key = request["container"], request["attempt"]
        config = json.loads((self._directory(key) / "config.json").read_text())
        if key in self.alive.values():
            self.limits.change(key, limits.Limits(**config["limits"]), self.states[key]["pid"], time.monotonic())
        return {}

    def exec(self, connection: socket.socket, request: dict) -> None:
        """Start a process in a running container; the answer waits for its end. Raises StartError."""
        key = request["container"], request["attempt"]
        if key not in self.alive.values():
            raise container.StartError(container.STOPPED)
        config = json.loads((self._directory(key) / "config.json").read_text())
        config |= {"args": request["args"], "env": config["env"] | request["env"]}
        pid = container.join(config, request["files"], self.states[key]["pid"])
        self.joined[pid] = Joined(key, connection)
        self.on(connection.fileno(), lambda: self._hung_up(pid))

    def attach(self, connection: socket.socket, request: dict) -> None:
        """Copy a container's output to the pipes that came along; the connection lasts as long as that is wanted."""
        key = request["container"], request["attempt"]
        outputs = self.outputs.get(key)
        if not outputs:
            raise container.StartError(container.STOPPED)
        for stream, file in zip(OUTPUTS, request["files"], strict=True):
            if stream in outputs:  # else the container has closed it
                outputs[stream].attach(os.dup(file))
        config = json.loads((self._directory(key) / "config.json").read_text())
        given = [outputs["stdout"].fd] if config["tty"] else [self.inputs[key]] if key in self.inputs else []
        socket.send_fds(connection, [json.dumps({"tty": config["tty"]}).encode()], given)
        once = request["stdin"] and config["stdin_once"]
        if once and not config["tty"] and key in self.inputs:
            os.close(self.inputs.pop(key))  # the end of who is attached is the end of the input
        self.on(connection.fileno(), lambda: self._detached(key, connection, hang_up=once and config["tty"]))

    def _detached(self, key: Key, connection: socket.socket, hang_up: bool) -> None:
        self._close(connection)
        if hang_up and (output := self.outputs.get(key, {}).get("stdout")):
            output.finish()

    def watch(self, connection: socket.socket, request: dict) -> None:
        """Keep the connection, to tell it of every change."""
        connection.setblocking(False)
        self.watchers.append(connection)
        _send(connection, {})  # of what changed since it asked it was not told
        self._forget_when_closed(connection, self.watchers)

    def follow(self, connection: socket.socket, request: dict) -> dict | None:
        """Keep the connection, to tell it when the container's log has grown."""
        key = request["container"], request["attempt"]
        if key not in self.outputs:
            return {}  # ended: the log is complete
        connection.setblocking(False)
        followers = self.followers.setdefault(key, [])
        followers.append(connection)
        _send(connection, {})  # the log may have grown since it looked
        self._forget_when_closed(connection, followers)
        return None

    def exit(self, connection: socket.socket, request: dict) -> NoReturn:
        """End, and with it, by the kernel, all that runs in the pod."""
        os._exit(0)

    requests: dict[str, Callable] = {"start": start, "signal": signal, "limit": limit, "exec": exec, "attach": attach,
                                     "watch": watch, "follow": follow, "exit": exit}  # fmt: skip

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
                ending = _ending(status)
                self._write(key, self.states[key] | ending | why | self._last_words(key, ending["exit_code"]))
                if root := self.roots.pop(key, None):
                    end_all_in(root)
            elif process := self.joined.pop(pid, None):
                _send(process.connection, {"exit_code": _ending(status)["exit_code"]})
                self._close(process.connection)

    def _hung_up(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self._close(self.joined.pop(pid).connection)

    def _take(self, key: Key, files: Files, log: LogWriter) -> None:
        """Take what a container writes until it closes it; it may have ended by now."""
        files.hand_over()
        files.receive_terminal()
        if files.input is not None and files.terminal is None:
            self.inputs[key] = files.input
        self.outputs[key] = {
            stream: Output(fd, stream, log, self, partial(self._grew, key), partial(self._output_ended, key))
            for stream, fd in files.outputs.items()
        }
        if not files.outputs:  # it came to nothing before it had a terminal
            self._log_ended(key, log)

    def _grew(self, key: Key) -> None:
        self._tell(self.followers.get(key, []))

    def _output_ended(self, key: Key, output: Output) -> None:
        del self.outputs[key][output.stream]
        if not self.outputs[key]:
            self._log_ended(key, output.log)

    def _log_ended(self, key: Key, log: LogWriter) -> None:
        del self.outputs[key]
        log.close()
        if key in self.inputs:
            os.close(self.inputs.pop(key))
        for follower in self.followers.pop(key, []):
            self._close(follower)

    def _write(self, key: Key, state: dict) -> None:
        self.states[key] = state
        path = self._directory(key) / "state.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.rename(path)
        self._tell(self.watchers)

    def _last_words(self, key: Key, code: int) -> dict:
        """Return what the container left in its termination log, or if it asks so the end of its log."""
        with open(self.directory / "messages" / f"{key[0]}.{key[1]}", "rb") as file:
            words = file.read(MAX_MESSAGE).decode(errors="replace")
        config = json.loads((self._directory(key) / "config.json").read_text())
        if not words and code and config["log_as_message"]:
            for output in [*self.outputs.get(key, {}).values()]:
                output.drain()
            with closing(LogReader(Path(config["log"]), LogOptions(tail=MAX_LOG_LINES))) as log:
                told = b"".join(log.read())
            words = told[-MAX_LOG_MESSAGE:].decode(errors="replace")
        return {"message": words}

    def _tell(self, connections: list[socket.socket]) -> None:
        for connection in connections:
            _send(connection, {})

    # connections

    def _forget_when_closed(self, connection: socket.socket, group: list[socket.socket]) -> None:
        def closed() -> None:
            if connection in group:
                group.remove(connection)
            self._close(connection)

        self.on(connection.fileno(), closed)

    def _close(self, connection: socket.socket) -> None:
        self.off(connection.fileno())
        connection.close()

    def on(self, fd: int, action: Callable[[], None], events: int = selectors.EVENT_READ) -> None:
        """Call `action` whenever the file is ready."""
        self.selector.register(fd, events, action)

    def off(self, fd: int) -> None:
        """Look at the file no more."""
        self.selector.unregister(fd)

    def _directory(self, key: Key) -> Path:
        return self.directory / "containers" / key[0] / str(key[1])


def end_all_in(root: int) -> None:
    """Kill every process of the mount namespace `root`: where containers share pids, the kernel does not."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.stat(entry / "ns/mnt").st_ino == root:
                ids = re.search(r"^NSpid:.*?(\d+)$", (entry / "status").read_text(), re.MULTILINE)
                os.kill(int(ids[1]), signal.SIGKILL)  # type: ignore[index]


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
