"""The machine's first process: starts the components, restarts one that dies, stops them all at the end.

Components are forked from this process, which has imported all of them, and run their own main(argv): an import is
paid once and its memory shared. It stays single-threaded, as only such a process may fork safely, and sleeps until a
signal, a request on the control socket or a restart that is due.

Invariants: a component that dies is forked again within a second, unless it was stopped on purpose. The sockets at
which it is to be reached are opened here and stay open meanwhile: whoever asks waits, and nobody is refused. When this
process ends, so does everything in its pid namespace, by the kernel's hand. Until `labkit up` says "keep", its end ends
the machine too.
Left out: anything a pod needs; a pod belongs to its kubelet.

Upstream: none; kubeadm leaves this to systemd and to static pods
"""

import gc
import importlib
import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.glassbox import cluster, host_sockets, network, syscalls
from labkit.glassbox.cluster import API_SERVER, Component, Layout, Profile
from labkit.glassbox.processes import proportional_memory

log = logging.getLogger("supervisor")

FIRST_DELAY, LONGEST_DELAY = 0.05, 0.8  # seconds before a restart, doubled with each death
HEALTHY_AFTER = 10.0  # seconds of life after which a death counts as the first
STOP_GRACE = 2.0  # seconds from SIGTERM to SIGKILL
LOG_SIZE = 4 * 2**20  # bytes, beyond which a component's next start begins a new log
IDLE_CHECK = 5.0  # seconds, at most
OWN_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
NODE_VERBS = {"add": network.add, "cut": network.cut, "mend": network.mend}
STOPPED, RUNNING, STOPPING = "stopped", "running", "stopping"


@dataclass
class Child:
    """What the supervisor knows of one component."""

    component: Component
    wanted: bool = True
    pid: int = 0
    started: float = 0.0
    restarts: int = 0
    deaths: int = 0  # in a row
    due: float | None = None  # when to start or, once told to stop, to kill it
    waiting: list[socket.socket] = field(default_factory=list)  # who asked for its stop
    sockets: list[socket.socket] = field(default_factory=list)  # those of its `listens`, until it is stopped

    @property
    def state(self) -> str:
        """One word for `labkit status`."""
        if self.pid:
            return RUNNING if self.wanted else STOPPING
        return "restarting" if self.wanted else STOPPED

    def let_go_if_stopped(self) -> None:
        """Close the sockets of a component that was stopped on purpose: who asks is refused at once."""
        while self.sockets and not self.wanted:
            self.sockets.pop().close()


def restart_delay(deaths: int) -> float:
    """Return how long to wait, in seconds, after that many deaths in a row."""
    return min(FIRST_DELAY * 2 ** (deaths - 1), LONGEST_DELAY)


class Supervisor:
    """Runs until SIGTERM, a request to shut down, two idle hours, the loss of its directory, or the end of a
    `labkit up` that said no "keep"."""

    def __init__(self, files: Layout, components: list[Component], control: socket.socket, handover: socket.socket,
                 *, idle_limit: float, profile: Profile) -> None:  # fmt: skip
        self.files = files
        self.children = {component.name: Child(component) for component in components}
        self.control = control
        self.handover: socket.socket | None = handover
        self.idle_limit, self.profile = idle_limit, profile
        self.started = time.time()
        self.ending = False
        self.until_end: list[socket.socket] = []  # connections that wait for the machine's end
        self.selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Start everything, keep it running, stop everything."""
        self._watch_signals()
        self._on_readable(self.control, self._accept)
        if self.handover:
            self._on_readable(self.handover, self._hear_launcher)
        for child in self.children.values():
            self._start(child)
        pause = min(IDLE_CHECK, self.idle_limit / 2)
        next_check = time.monotonic() + pause
        while not self.ending:
            for key, _ in self.selector.select(self._until_next_due(next_check)):
                key.data()
            self._reap()
            self._do_what_is_due()
            if time.monotonic() >= next_check:
                next_check = time.monotonic() + pause
                self._end_if_forgotten()
        self._stop_all()

    # -- components

    def _start(self, child: Child) -> None:
        child.due = None
        child.sockets = child.sockets or [host_sockets.bound(*each) for each in child.component.listens]
        signal.pthread_sigmask(signal.SIG_BLOCK, OWN_SIGNALS)  # until the child has let go of this process's handlers
        pid = os.fork()
        if pid == 0:
            self._become(child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OWN_SIGNALS)
        child.pid, child.started = pid, time.monotonic()
        log.info("%s started, pid %d", child.component.name, pid)

    def _become(self, child: Child) -> None:
        """Turn the forked process into the component; never returns."""
        code = 1
        try:
            self._leave_supervisor(child)
            main: Callable[[list[str]], int | None] = importlib.import_module(child.component.module).main
            code = main([*child.component.argv, *(f"--listen-fd={each.fileno()}" for each in child.sockets)]) or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            logging.shutdown()
            sys.stderr.flush()
            os._exit(code)

    def _leave_supervisor(self, own: Child) -> None:
        component = own.component
        signal.set_wakeup_fd(-1)
        for signum in OWN_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OWN_SIGNALS)
        os.setsid()
        redirect_output(self.files.log(component.name))
        logging.getLogger().handlers.clear()
        self.selector.close()
        others = [each for child in self.children.values() if child is not own for each in child.sockets]
        for connection in [*self._connections(), *others]:
            connection.close()
        for fd in {fd for child in self.children.values() for fd in child.component.fds} - {*component.fds}:
            os.close(fd)
        syscalls.set_process_title(f"labkit {component.name} ({self.files.name})")
        if component.node:
            network.enter(component.node)
        gc.enable()

    def _connections(self) -> list[socket.socket]:
        waiting = [connection for child in self.children.values() for connection in child.waiting]
        own = [self.control, self._wake, *([self.handover] if self.handover else [])]
        return own + waiting + self.until_end

    def _reap(self) -> None:
        """Take note of every process that ended: components, and orphans, whose parent is the first process."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self.children.values():
                if child.pid == pid:
                    self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: Child, code: int) -> None:
        lived, child.pid, child.due = time.monotonic() - child.started, 0, None
        log.info("%s ended with %d after %.1f s", child.component.name, code, lived)
        for connection in child.waiting:
            self._answer(connection, {"state": child.state})
        child.waiting.clear()
        child.let_go_if_stopped()
        if child.wanted and not self.ending:
            child.deaths = 1 if lived > HEALTHY_AFTER else child.deaths + 1
            child.restarts += 1
            child.due = time.monotonic() + restart_delay(child.deaths)
            self._tell_launcher({"died": child.component.name, "code": code})

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        for child in self.children.values():
            if child.due is None or now < child.due:
                continue
            if child.pid:
                child.due = None
                os.kill(child.pid, signal.SIGKILL)
            else:
                self._start(child)

    def _until_next_due(self, next_check: float) -> float:
        dues = [child.due for child in self.children.values() if child.due is not None]
        return max(0.0, min([next_check, *dues]) - time.monotonic())

    def _terminate(self, child: Child) -> None:
        child.wanted = False
        if child.pid:
            os.kill(child.pid, signal.SIGTERM)
            child.due = time.monotonic() + STOP_GRACE
        else:
            child.due = None

    def _stop_all(self) -> None:
        """Stop in reverse order: first whoever uses the API, the API server last; then kill what is left."""
        last = [child for child in self.children.values() if child.component.name == API_SERVER]
        first = [child for child in reversed(self.children.values()) if child not in last]
        for group in (first, last):
            for child in group:
                self._terminate(child)
            while any(child.pid for child in group):
                self.selector.select(self._until_next_due(time.monotonic() + 1))
                self._drain_wake()
                self._reap()
                self._do_what_is_due()
        kill_everything_else()

    # -- requests

    def _accept(self) -> None:
        connection, _ = self.control.accept()
        connection.settimeout(1)
        self._on_readable(connection, lambda: self._serve(connection))

    def _serve(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        try:
            request = json.loads(connection.recv(65536))
            answer = self._do(request, connection)
        except (OSError, ValueError) as error:
            answer = {"error": str(error)}
        if answer is not None:
            self._answer(connection, answer)

    def _do(self, request: dict[str, Any], connection: socket.socket) -> dict[str, Any] | None:
        """Do what is asked; None: the answer comes later."""
        verb, name = request.get("do"), request.get("component", "")
        if verb == "status":
            return self.status()
        if verb == "shutdown":
            self.ending = True
            self.until_end.append(connection)
            return None
        if verb in NODE_VERBS:
            return self._change_node(verb, request.get("node", ""))
        if verb not in ("stop", "start", "restart"):
            return {"error": f"unknown request {verb!r}"}
        if name not in self.children:
            return {"error": f"no component {name!r}; there are {', '.join(self.children)}"}
        return self._change(self.children[name], verb, connection)

    def _change_node(self, verb: str, name: str) -> dict[str, Any]:
        """Add a node, or take its link down or up."""
        node = network.node_named(name)
        parts = [cluster.kubelet(self.files, node, self.profile), cluster.kube_proxy(self.files, node)]
        if (parts[0].name in self.children) is (verb == "add"):
            there = {child.component.node: None for child in self.children.values() if child.component.node}
            raise ValueError(
                f"{name} is already there" if verb == "add" else f"no node {name!r}; there are {', '.join(there)}"
            )
        NODE_VERBS[verb](node)
        log.info("%s: %s", verb, name)
        for component in parts if verb == "add" else ():
            self.children[component.name] = Child(component)
            self._start(self.children[component.name])
        return {"state": verb}

    def _change(self, child: Child, verb: str, connection: socket.socket) -> dict[str, Any] | None:
        if verb == "start":
            child.wanted, child.deaths = True, 0
            if not child.pid:
                self._start(child)
            return {"state": child.state}
        running = child.pid != 0
        self._terminate(child)
        if verb == "restart":
            child.wanted, child.deaths = True, 0
            if not running:
                self._start(child)
                return {"state": child.state}
        if not running:
            child.let_go_if_stopped()
            return {"state": child.state}
        child.waiting.append(connection)
        return None

    def _answer(self, connection: socket.socket, answer: dict[str, Any]) -> None:
        with connection:
            try:
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                pass  # who asked is gone

    def status(self) -> dict[str, Any]:
        """Return what `labkit status` shows; memory in bytes, shared pages counted in part (PSS)."""
        now = time.monotonic()
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return {
            "cluster": self.files.name,
            "kept": self.handover is None,
            "started": self.started,
            "processes": len(pids),
            "memory": proportional_memory(1),
            "total": sum(proportional_memory(pid) for pid in pids),
            "components": [
                {
                    "name": child.component.name,
                    "state": child.state,
                    "pid": child.pid,
                    "restarts": child.restarts,
                    "age": round(now - child.started, 3) if child.pid else 0,
                    "memory": proportional_memory(child.pid) if child.pid else 0,
                }
                for child in self.children.values()
            ],
        }

    # -- the launcher, signals, idleness

    def _hear_launcher(self) -> None:
        assert self.handover
        try:
            said = self.handover.recv(4096)
        except OSError:
            said = b""
        self.selector.unregister(self.handover)
        self.handover.close()
        self.handover = None
        if said.strip() != b"keep":
            log.info("`labkit up` ended before the cluster was ready: stopping")
            self.ending = True

    def _tell_launcher(self, news: dict[str, Any]) -> None:
        if self.handover:
            try:
                self.handover.sendall(json.dumps(news).encode() + b"\n")
            except OSError:
                pass  # its end is heard by _hear_launcher

    def _watch_signals(self) -> None:
        self._wake, woken = socket.socketpair()
        self._wake.setblocking(False)
        woken.setblocking(False)
        self._woken = woken
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        self._on_readable(self._wake, self._drain_wake)

    def _drain_wake(self) -> None:
        try:
            self._wake.recv(4096)
        except BlockingIOError:
            pass

    def _end(self, *_: object) -> None:
        self.ending = True

    def _on_readable(self, connection: socket.socket, then: Callable[[], None]) -> None:
        self.selector.register(connection, selectors.EVENT_READ, then)

    def _end_if_forgotten(self) -> None:
        if not self.files.root.stat().st_nlink:  # mounted here, so still seen after its deletion
            log.info("the state directory %s is gone: stopping", self.files.root)
            self.ending = True
        elif time.time() - max(self.started, last_use(self.files)) > self.idle_limit:
            log.info("nobody has used the cluster for %d minutes: stopping", self.idle_limit // 60)
            self.ending = True


def last_use(files: Layout) -> float:
    """Return when a client from the host last asked the API for something: the API server touches `last-use`."""
    try:
        return (files.root / "last-use").stat().st_mtime
    except FileNotFoundError:
        return 0.0


def kill_everything_else() -> None:
    """Kill every other process of this pid namespace and wait until none is left."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def redirect_output(path: Path) -> None:
    """Send standard output and error of this process to the end of a file, input from nowhere.

    A file that has grown large is put aside first, under the name of the one before.
    """
    if path.exists() and path.stat().st_size > LOG_SIZE:
        path.replace(path.with_suffix(".log.1"))
    for source, flags, targets in (
        ("/dev/null", os.O_RDONLY, (0,)),
        (path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, (1, 2)),
    ):
        fd = os.open(source, flags | os.O_CLOEXEC, 0o600)
        for target in targets:
            os.dup2(fd, target)
        os.close(fd)
