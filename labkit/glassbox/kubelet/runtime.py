"""The container runtime: a Protocol of nine methods, and its Linux implementation on pause processes.

Stands for the container runtime interface (CRI). What a pod's sandbox and containers are doing is read from the pod's
directory (sandbox.py says what lies there), so it does not matter which kubelet started them.

Invariants: nothing is kept in memory only but the watches, so a kubelet that was killed loses nothing; `inspect` never
waits for a container. Left out: image service (images.py), statistics.

Upstream: k8s.io/cri-api pkg/apis/services.go
"""

import json
import os
import secrets
import selectors
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

from labkit.glassbox import network, syscalls
from labkit.glassbox.kubelet import shim
from labkit.glassbox.kubelet.host_ports import HostPorts, Ports
from labkit.glassbox.kubelet.limits import Limits
from labkit.glassbox.kubelet.security import Security
from labkit.glassbox.kubelet.shim import connect
from labkit.glassbox.kubelet.zygote import SOCKET, Zygote

# A pod's own file systems, so that its containers fill nobody else's: /dev/shm, and what they say of their end.
TMPFS = {"shm": "mode=1777,size=64m", "messages": "mode=700,size=1m"}
KEPT = (
    "name",
    "attempt",
    "id",
    "image",
    "image_id",
    "log",
    "backoff",
    "asked_image",
    "resources",
)  # of a container's configuration


@dataclass(frozen=True)
class Sandbox:
    """A pod's namespaces: what the kubelet asked for and what came of it."""

    uid: str
    namespace: str
    name: str
    hostname: str
    address: str
    attempt: int
    host_network: bool = False  # it stays in the node's network namespace
    id: str = ""
    pid: int = 0
    created_at: float = 0.0  # seconds since the epoch
    ready: bool = False  # its pause process lives
    detached: bool = False  # its link is gone, and its address may be another pod's by now
    sysctls: dict[str, str] = field(default_factory=dict)
    ports: Ports = field(default_factory=list)  # of the node, that lead here


@dataclass(frozen=True)
class ContainerConfig:
    """What to run: config.json."""

    name: str
    attempt: int
    image: str
    image_id: str
    args: list[str]
    env: dict[str, str]
    cwd: str
    root: str
    steps: list[tuple[str, str, str, str]]
    log: str
    security: dict = field(default_factory=lambda: Security().as_dict())
    limits: dict = field(default_factory=lambda: Limits().as_dict())
    termination_log: str = "/dev/termination-log"  # the container's path
    backoff: float = 0.0  # seconds to wait, after this one ends, before the next attempt
    asked_image: str = ""  # as the pod's spec had it
    resources: dict = field(default_factory=dict)  # likewise
    id: str = ""
    target: str = ""  # the container whose processes it is to see
    share_processes: bool = False  # it sees those of all that do
    log_as_message: bool = False  # the end of its log stands for a termination message
    stdin: bool = False  # it reads what those write who attach
    stdin_once: bool = False  # only what the first of them writes
    tty: bool = False


@dataclass(frozen=True)
class Container:
    """One attempt to run a container, as it is now."""

    name: str
    attempt: int
    id: str
    image: str
    image_id: str
    log: str
    backoff: float = 0.0
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    message: str = ""
    pid: int = 0
    asked_image: str = ""
    resources: dict = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None


@dataclass(frozen=True)
class Actual:
    """What the runtime knows of a pod."""

    sandbox: Sandbox | None = None
    containers: dict[str, tuple[Container, ...]] = field(default_factory=dict)  # oldest attempt first

    def latest(self, name: str) -> Container | None:
        """Return the last attempt to run a container."""
        return self.containers[name][-1] if self.containers.get(name) else None


class Runtime(Protocol):
    """What the kubelet needs of a container runtime."""

    def run_sandbox(self, sandbox: Sandbox) -> Sandbox: ...

    def start_container(self, uid: str, config: ContainerConfig) -> None: ...

    def signal_container(self, uid: str, name: str, attempt: int, signum: int) -> None: ...

    def limit_container(self, uid: str, name: str, attempt: int, resources: dict, limits: dict) -> None: ...

    def exec(self, uid: str, name: str, attempt: int, args: Sequence[str], *, timeout: float) -> shim.ExecResult: ...

    def stop_sandbox(self, uid: str) -> None: ...

    def remove(self, uid: str) -> None: ...

    def inspect(self, uid: str) -> Actual: ...

    def list(self) -> list[str]: ...

    def watch(self, changed: Callable[[str], None]) -> None: ...


class LinuxRuntime:
    """Pods as pause processes with a directory each, under `run_dir`, which must lie on the machine's own tmpfs."""

    def __init__(self, run_dir: Path, zygote: Zygote) -> None:
        self.pods = run_dir / "pods"
        self.root = run_dir / "rootfs"  # an empty directory: each container mounts its own root over it
        self.zygote = zygote
        self._forking = threading.Lock()
        self._watches, self._host_ports = Watches(), HostPorts()
        for directory in (self.pods, self.root):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def run_sandbox(self, sandbox: Sandbox) -> Sandbox:
        """Make the pod's namespaces and its link; raises SandboxError or OSError, and then leaves nothing running."""
        directory = self.pods / sandbox.uid
        for name, options in TMPFS.items():
            (directory / name).mkdir(parents=True, exist_ok=True)
            if not os.path.ismount(directory / name):
                flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
                syscalls.mount(name, str(directory / name), "tmpfs", flags, options)
        self._watches.forget(sandbox.uid)
        if not sandbox.host_network:
            network.detach_pod(link_name(sandbox.address))  # of a sandbox that died
        with self._forking:
            pid = self.zygote.fork(directory, sandbox.hostname, sandbox.host_network)
        try:
            if not sandbox.host_network:
                network.attach_pod(pid, sandbox.address, link_name(sandbox.address), sandbox.sysctls)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        made = Sandbox(**asdict(sandbox) | {"id": new_id(), "pid": pid, "created_at": time.time(), "ready": True})
        _replace(directory / "sandbox.json", asdict(made))
        self._watches.add(sandbox.uid, directory / SOCKET)
        self._lead_ports(made)
        return made

    def start_container(self, uid: str, config: ContainerConfig) -> None:
        """Start a container; `inspect` tells whether it runs. Raises OSError when the sandbox is gone."""
        directory = self.pods / uid / "containers" / config.name / str(config.attempt)
        directory.mkdir(parents=True, exist_ok=True)
        last_words = self.pods / uid / "messages" / f"{config.name}.{config.attempt}"
        last_words.touch()
        last_words.chmod(0o666)  # whoever the container runs as
        steps = [*config.steps, ("bind", config.termination_log, str(last_words), "")]
        stored = asdict(config) | {"id": new_id(), "steps": steps}
        (directory / "config.json").write_text(json.dumps(stored))
        shim.ask(self.pods / uid / SOCKET, {"do": "start", "container": config.name, "attempt": config.attempt})
        self._forget_attempts(directory.parent, before=config.attempt - 1)

    def signal_container(self, uid: str, name: str, attempt: int, signum: int) -> None:
        """Send a signal to a container's first process, if there is one."""
        with suppress(OSError):
            request = {"do": "signal", "container": name, "attempt": attempt, "signal": signum}
            shim.ask(self.pods / uid / SOCKET, request)

    def limit_container(self, uid: str, name: str, attempt: int, resources: dict, limits: dict) -> None:
        """Hold a container that runs to other limits, which are noted as those of its resources."""
        path = self.pods / uid / "containers" / name / str(attempt) / "config.json"
        config = _read(path)
        _replace(path, config | {"resources": resources, "limits": config["limits"] | limits})
        with suppress(OSError):
            shim.ask(self.pods / uid / SOCKET, {"do": "limit", "container": name, "attempt": attempt})

    def stop_sandbox(self, uid: str) -> None:
        """End all that runs in the pod and take its link away; returns when the kernel has ended it."""
        self._watches.forget(uid)
        with suppress(OSError), connect(self.pods / uid / SOCKET) as pause:
            pause.send(json.dumps({"do": "exit"}).encode())
            pause.recv(1)  # end of file
        sandbox = self._sandbox(uid)
        if sandbox and not sandbox.host_network and not sandbox.detached:
            network.detach_pod(link_name(sandbox.address))
            _replace(self.pods / uid / "sandbox.json", asdict(replace(sandbox, detached=True)))
            self._lead_ports(sandbox)

    def remove(self, uid: str) -> None:
        """Forget a pod that was stopped."""
        for name in TMPFS:
            with suppress(OSError):
                syscalls.umount(str(self.pods / uid / name), syscalls.MNT_DETACH)
        shutil.rmtree(self.pods / uid, ignore_errors=True)

    def inspect(self, uid: str) -> Actual:
        """Return what runs and what ran in a pod."""
        sandbox = self._sandbox(uid)
        alive = sandbox is not None and sandbox.ready
        names = sorted(_listdir(self.pods / uid / "containers"))
        return Actual(sandbox, {name: tuple(self._attempts(uid, name, alive)) for name in names})

    def list(self) -> list[str]:
        """Return the uids of the pods that have a directory."""
        return _listdir(self.pods)

    def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed` with a pod's uid whenever something in it may have changed; the pods found are included."""
        self._watches.start(changed)
        for uid in self.list():
            self._watches.add(uid, self.pods / uid / SOCKET)
            changed(uid)

    def follow(self, uid: str, name: str, attempt: int) -> socket.socket:
        """Return a connection that gets a message when a container's log has grown, and ends with the log."""
        connection = connect(self.pods / uid / SOCKET)
        connection.send(json.dumps({"do": "follow", "container": name, "attempt": attempt}).encode())
        return connection

    def exec(self, uid: str, name: str, attempt: int, args: Sequence[str], *, timeout: float) -> shim.ExecResult:
        """Run a command in a running container; `timeout` in seconds. Raises ExecError and ExecTimeout."""
        return shim.run(self.pods / uid / SOCKET, shim.exec_request(name, attempt, args), timeout)

    def begin(self, uid: str, request: dict, files: Sequence[int]) -> socket.socket:
        """Send an exec or attach of shim.py to a pod; return the connection that lasts as long. Raises OSError."""
        return shim.begin(self.pods / uid / SOCKET, request, files)

    def _lead_ports(self, changed: Sandbox) -> None:
        """Let the node's ports lead to the pods that are there, when one that has such ports came or went."""
        if changed.ports:
            self._host_ports.become(self._ports)

    def _ports(self) -> Iterator[tuple[str, Ports]]:
        for stored in (_read(self.pods / uid / "sandbox.json") for uid in self.list()):
            if stored.get("ports") and not stored["detached"]:
                yield stored["address"], stored["ports"]

    def _forget_attempts(self, directory: Path, before: int) -> None:
        """Remove what older attempts left: of a container in a crash loop only the last one's log is ever shown."""
        for attempt in map(int, _listdir(directory)):
            if attempt < before:
                log = Path(_read(directory / str(attempt) / "config.json")["log"])
                for path in log.parent.glob(f"{log.name}*"):
                    path.unlink(missing_ok=True)
                shutil.rmtree(directory / str(attempt))
                (directory.parents[1] / "messages" / f"{directory.name}.{attempt}").unlink(missing_ok=True)

    def _sandbox(self, uid: str) -> Sandbox | None:
        stored = _read(self.pods / uid / "sandbox.json")
        if not stored:
            return None
        # A pause process that nobody watches yet may live all the same: only a refused connection tells.
        ready = self._watches.alive(uid) or self._watches.add(uid, self.pods / uid / SOCKET)
        return Sandbox(**stored | {"ready": ready})

    def _attempts(self, uid: str, name: str, alive: bool) -> Iterator[Container]:
        directory = self.pods / uid / "containers" / name
        for attempt in sorted(map(int, _listdir(directory))):
            config = _read(directory / str(attempt) / "config.json")
            state = _read(directory / str(attempt) / "state.json")
            if not config or not (state or alive):
                continue
            if state.get("exit_code") is None and not alive:  # ended with its sandbox, by the kernel
                state = state | {"exit_code": 137, "reason": "Error", "finished_at": time.time()}
                _replace(directory / str(attempt) / "state.json", state)
            known = {key: config[key] for key in KEPT if key in config}
            yield Container(**known, **state)


class Watches:
    """One thread that waits for word from every pod's pause process; the end of a connection is the end of a pause."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._connections: dict[str, socket.socket] = {}
        self._lock = threading.Lock()
        self._changed: Callable[[str], None] = lambda uid: None

    def start(self, changed: Callable[[str], None]) -> None:
        """Begin to report changes."""
        self._changed = changed
        threading.Thread(target=self._run, name="runtime-watch", daemon=True).start()

    def add(self, uid: str, path: Path) -> bool:
        """Watch a pod; tell whether its pause process lives."""
        try:
            connection = connect(path)
            connection.send(b'{"do": "watch"}')
        except OSError:
            return False
        connection.setblocking(False)
        with self._lock:
            if uid in self._connections:  # another thread was faster
                connection.close()
                return True
            self._connections[uid] = connection
            self._selector.register(connection, selectors.EVENT_READ, uid)
        return True

    def forget(self, uid: str) -> None:
        """Stop watching a pod."""
        with self._lock:
            if connection := self._connections.pop(uid, None):
                self._selector.unregister(connection)
                connection.close()

    def alive(self, uid: str) -> bool:
        """Tell whether a pod's pause process lives."""
        return uid in self._connections

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                uid = key.data
                try:
                    ended = not key.fileobj.recv(65536)  # type: ignore[union-attr]
                except BlockingIOError:
                    continue
                except OSError:
                    ended = True
                if ended and self._connections.get(uid) is key.fileobj:
                    self.forget(uid)
                self._changed(uid)


def link_name(address: str) -> str:
    """Name the node's end of a pod's link after the pod's address, as in pod1-17 for 10.244.1.17."""
    _, _, node, host = address.split(".")
    return f"pod{node}-{host}"


def new_id() -> str:
    """Return an identifier as container runtimes make them: 64 hexadecimal digits."""
    return secrets.token_hex(32)


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}


def _replace(path: Path, value: dict) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.rename(path)


def _listdir(path: Path) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []
