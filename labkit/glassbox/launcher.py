"""`labkit up`, `down` and `status`, as seen from the host.

`up` takes the cluster's lock, opens the two sockets on which the machine will be reached (the API's on 127.0.0.1 and
the control socket), starts the machine detached, writes keys and kubeconfigs while that one imports, and waits on the
API until all nodes are Ready. Only then does it say "keep"; whatever ends `up` before ends the machine as well.

Invariants: one machine a cluster, by the lock; the port stays the same from one `up` to the next while it is free.

Upstream: none; kind's pkg/cluster does this
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from labkit.glassbox import cluster, control, network, pki, readiness
from labkit.glassbox.cluster import ClusterError, Layout

IDLE_LIMIT = 2 * 3600.0  # seconds without use after which a machine stops
READY_WITHIN = 60.0  # seconds
END_WITHIN = 15.0  # seconds from asking a machine to end to killing it
LOCK_POLL = 0.02  # seconds
HOST = "127.0.0.1"
MACHINE_ENVIRONMENT = {
    "SSL_CERT_FILE": os.devnull,  # components trust the cluster's authority alone; reading the public ones takes 40 ms
    "SSL_CERT_DIR": os.devnull,
    "MALLOC_ARENA_MAX": "2",  # memory pools that the C library keeps for threads
}


class Process(Protocol):
    """A child process, as subprocess.Popen is one."""

    def kill(self) -> None:
        """End it at once."""

    def wait(self) -> Any:
        """Wait until it has ended."""


Fork = Callable[[list[str], dict[str, str], int, list[int]], Process]  # arguments, environment, log, sockets to keep
Progress = Callable[[str, str], None]  # called with "doing", "done" or "note", and a sentence


@dataclass(frozen=True)
class Started:
    """What `up` did."""

    files: Layout
    nodes: int
    already_running: bool


def up(name: str, nodes: int | None = None, *, progress: Progress, idle_limit: float = IDLE_LIMIT,
       host_dns: bool = False, profile: str = "default", fork: Fork | None = None) -> Started:  # fmt: skip
    """Start a cluster and wait until its nodes are Ready; raises ClusterError, and then leaves nothing running.

    With `host_dns` pods find the names that the host's own name servers know. `profile`: cluster.PROFILES.
    With `fork` the machine is no new interpreter but forked by it, and ends with this process, however that ends.
    """
    files = cluster.layout(name)
    with _writable(files):
        (files.root / "logs").mkdir(parents=True, exist_ok=True, mode=0o700)
        files.root.chmod(0o700)
        lock = control.open_lock(files)
    try:
        while not control.take_lock(lock):
            if joined := _join_running(files, nodes, progress):
                return joined
            time.sleep(LOCK_POLL)  # another `up` has only just begun, or has just failed
        settings = _settings(files)
        count = nodes or settings.get("nodes", 2)
        networks = _plan(count)
        with _writable(files):
            more = [f"--profile={profile}", *(["--host-dns"] if host_dns else [])]
            launch = Launch(files, count, settings.get("port", 0), lock, idle_limit, progress, more, fork)
    finally:
        os.close(lock)  # from here on the machine holds it
    try:
        progress("doing", f"starting the control plane and {_counted(count, 'node')}")
        with _writable(files):
            cluster.configure(files, networks, launch.port)
            pki.write_private(files.root / "settings.json", json.dumps({"port": launch.port, "nodes": count}))
        forget_discovery(launch.port)
        launch.say("configured")
        readiness.wait(files, count, launch.port, launch.ended, READY_WITHIN, progress)
        launch.refuse_crash_loops()
        if not fork:  # else the thread that listens holds the handover until the kernel closes it
            launch.say("keep")
    except BaseException as error:
        launch.abandon()
        if isinstance(error, readiness.NotReady):
            raise launch.explain(error) from error
        raise
    return Started(files, count, already_running=False)


def down(name: str, *, purge: bool = False) -> bool:
    """Stop a cluster, also one that is just starting; tell whether there was one. `purge` forgets its objects."""
    files = cluster.layout(name)
    if not files.root.exists():
        return False
    ran = control.is_locked(files)
    with _writable(files):
        lock = control.open_lock(files)
    try:
        while not control.take_lock(lock):
            with _machine(files) as machine:
                _end_machine(files, machine)
        (files.root / control.SOCKET_NAME).unlink(missing_ok=True)
        if purge:
            _remove(files)
    finally:
        os.close(lock)
    return ran


def _end_machine(files: Layout, machine: int | None) -> None:
    """Ask a machine (a pidfd) to end and wait until it has; kill one that does not listen."""
    try:
        control.ask(files, {"do": "shutdown"}, timeout=END_WITHIN)
    except TimeoutError:
        if machine is not None:
            signal.pidfd_send_signal(machine, signal.SIGKILL)
    if machine is not None:
        select.select([machine], [], [], END_WITHIN)  # its lock is free a moment before its process is gone
    time.sleep(LOCK_POLL)  # its processes are ending, or another `up` begins; nothing to wait on tells which


@contextmanager
def _machine(files: Layout) -> Iterator[int | None]:
    """Give a pidfd of the cluster's machine, None if there is none yet or no longer."""
    with ExitStack() as stack:
        fd = None
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = int((files.root / "machine.pid").read_text())
            opened = os.pidfd_open(pid)
            stack.callback(os.close, opened)
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"labkit machine"):  # else the number is reused
                fd = opened
        yield fd


def running(name: str) -> bool:
    """Tell whether the cluster's machine lives."""
    return control.is_locked(cluster.layout(name))


def names() -> list[str]:
    """Return the names of all clusters that have state."""
    directory = cluster.state_home() / "clusters"
    return sorted(path.name for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


def status(name: str) -> dict[str, Any] | None:
    """Return what the supervisor says of a running cluster, with process ids as the host sees them."""
    files = cluster.layout(name)
    answer = control.ask(files, {"do": "status"}) if files.root.exists() else None
    if answer is None:
        return None
    first = int((files.root / "machine.pid").read_text())
    outside = _host_pids(first)
    for component in answer["components"]:
        component["pid"] = outside.get(component["pid"], 0)
    settings = _settings(files)
    port = settings["port"]
    ports = _read(files.host_ports, [])
    return {**answer, "pid": first, "port": port, "nodes": readiness.nodes(files, port), "host_ports": ports}


def components(name: str) -> dict[str, str]:
    """Return each component's state; asks the supervisor alone, so it answers without an API server too."""
    return {each["name"]: each["state"] for each in _ask(cluster.layout(name), {"do": "status"})["components"]}


def change(name: str, verb: str, component: str) -> str:
    """Stop, start or restart one component; return its state then."""
    return str(_ask(cluster.layout(name), {"do": verb, "component": component})["state"])


def change_link(name: str, verb: str, node: str) -> None:
    """Cut a node from the network, or mend it."""
    _ask(cluster.layout(name), {"do": verb, "node": node})


def add_node(name: str, *, progress: Progress) -> str:
    """Give a running cluster one node more and wait until it is Ready; return its name."""
    files = cluster.layout(name)
    _ask(files, {"do": "status"})
    settings = _settings(files)
    port, networks = settings["port"], _plan(settings["nodes"] + 1)
    ready = sum(state == "Ready" for state in readiness.nodes(files, port).values())
    with _writable(files):
        cluster.configure(files, networks, port)
        _ask(files, {"do": "add", "node": networks[-1].name})
        pki.write_private(files.root / "settings.json", json.dumps({"port": port, "nodes": len(networks)}))
    try:
        readiness.wait(files, ready + 1, port, readiness.Ending(), READY_WITHIN, progress)
    except readiness.NotReady as error:
        raise ClusterError(f"{networks[-1].name} was added, but {error}", "see: labkit status") from error
    return networks[-1].name


def _ask(files: Layout, request: dict[str, Any]) -> dict[str, Any]:
    answer = control.ask(files, request) if files.root.exists() else None
    if answer is None:
        raise ClusterError(f"cluster {files.name} is not running", f"start it: labkit up --name {files.name}")
    if "error" in answer:
        raise ClusterError(answer["error"], "see them: labkit status")
    return answer


def run_on(name: str, node: str, command: list[str]) -> str:
    """Run a command of the host in a node's network, as its root; return what it says."""
    components = (status(name) or {"components": []})["components"]
    found = next((each["pid"] for each in components if each["name"] == f"{cluster.KUBE_PROXY}@{node}"), 0)
    if not found:
        raise ClusterError(f"node {node} of cluster {name} does not run", "see which do: labkit status")
    own = ["-U", "--preserve-credentials"] if os.getuid() else []  # an ordinary user is root there alone
    entered = ["nsenter", "-t", str(found), *own, "-n", *command]
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])  # which an ordinary user's lacks
    done = subprocess.run(entered, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    if done.returncode:
        raise ClusterError(f"{' '.join(command)} on {node} ended with {done.returncode}: {done.stderr.strip()}", "")
    return done.stdout


class Launch:
    """A machine between its start and the "keep" that lets it outlive this process."""

    def __init__(self, files: Layout, nodes: int, port: int, lock: int, idle_limit: float, progress: Progress,
                 more: list[str], fork: Fork | None = None) -> None:  # fmt: skip
        self.files = files
        self.ended = readiness.Ending()
        self.error: str | None = None
        self.errno: int | None = None
        self.deaths: dict[str, list[int]] = {}  # component → with what it ended, each time
        self._handover, theirs = socket.socketpair()
        with theirs, _host_socket(port, progress) as listener, control.listen(files) as requests:
            self.port = listener.getsockname()[1]
            fds = {"listen": listener, "control": requests, "handover": theirs}
            numbers = {"lock": lock, **{name: end.fileno() for name, end in fds.items()}}
            self._process = _spawn(files, nodes, idle_limit, numbers, more, fork)
        threading.Thread(target=self._listen, daemon=True).start()

    def say(self, word: str) -> None:
        """Tell the machine to go on; that it has ended is found out by waiting."""
        try:
            self._handover.sendall(f"{word}\n".encode())
        except OSError:
            pass

    def abandon(self) -> None:
        """End the machine and wait until nothing of it is left."""
        self._process.kill()  # while it imports; afterwards this process has ended and the supervisor hears the next
        self._handover.shutdown(socket.SHUT_RDWR)
        self._process.wait()
        lock = control.open_lock(self.files)
        try:
            control.take_lock(lock, wait=True)
            (self.files.root / control.SOCKET_NAME).unlink(missing_ok=True)
        finally:
            os.close(lock)

    def refuse_crash_loops(self) -> None:
        """Raise ClusterError if a component ends again and again: ready nodes do not show that controllers work."""
        for component, codes in self.deaths.items():
            if len(codes) > 1:
                raise ClusterError(
                    f"{component} ended {len(codes)} times while the cluster started, last with {codes[-1]}",
                    f"read {self.files.log(component)}",
                )

    def explain(self, error: Exception) -> ClusterError:
        """Return why the cluster did not start, and what to do."""
        if self.errno is not None:
            return ClusterError(f"no namespaces here: {self.error}", "see what is missing: labkit doctor")
        if self.error:
            return ClusterError(f"the machine could not start: {self.error}", f"read {self.files.log('machine')}")
        if self.deaths:
            component, codes = next(iter(self.deaths.items()))
            return ClusterError(f"{component} ended with {codes[-1]}", f"read {self.files.log(component)}")
        if self.ended.is_set():
            return ClusterError("the cluster was stopped while it was starting", "start it again: labkit up")
        return ClusterError(str(error), f"read the logs in {self.files.root / 'logs'}")

    def _listen(self) -> None:
        with self._handover.makefile("rb") as lines:
            try:
                for line in lines:
                    self._hear(json.loads(line))
            except OSError:
                pass
        self.ended.set()

    def _hear(self, news: dict[str, Any]) -> None:
        if "pid" in news:
            pki.write_private(self.files.root / "machine.pid", str(news["pid"]))
        elif "died" in news:
            self.deaths.setdefault(news["died"], []).append(news["code"])
        elif "error" in news:
            self.error, self.errno = news["error"], news.get("errno")


def forget_discovery(port: int) -> None:
    """Drop what kubectl remembers, for six hours, of the kinds that were served at this port."""
    home = os.environ.get("KUBECACHEDIR") or Path.home() / ".kube" / "cache"
    shutil.rmtree(Path(home, "discovery", f"{HOST}_{port}"), ignore_errors=True)


def _spawn(files: Layout, nodes: int, idle_limit: float, fds: dict[str, int], more: list[str],
           fork: Fork | None) -> Process:  # fmt: skip
    arguments = [f"--name={files.name}", f"--state-dir={files.root}", f"--nodes={nodes}", f"--idle-limit={idle_limit}"]
    arguments += [*(f"--{name}-fd={fd}" for name, fd in fds.items()), *more]
    with open(files.log("machine"), "ab") as log:
        if fork:
            return fork(arguments, MACHINE_ENVIRONMENT, log.fileno(), list(fds.values()))
        return subprocess.Popen(
            [sys.executable, "-m", "labkit.glassbox.machine", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=list(fds.values()),
            start_new_session=True,
            env={**os.environ, **MACHINE_ENVIRONMENT},
            cwd=Path(__file__).parents[2],  # `-m` looks here first: the very code that runs now
        )


def _join_running(files: Layout, nodes: int | None, progress: Progress) -> Started | None:
    """Wait for a cluster that another `up` started; None if its machine does not answer."""
    if control.ask(files, {"do": "status"}) is None:
        return None
    settings = _settings(files)
    if nodes and nodes != settings["nodes"]:
        raise ClusterError(
            f"cluster {files.name} already runs, with {_counted(settings['nodes'], 'node')}",
            f"stop it first: labkit down --name {files.name}",
        )
    ended = readiness.Ending()
    try:
        readiness.wait(files, settings["nodes"], settings["port"], ended, READY_WITHIN, progress)
    except readiness.NotReady as error:
        raise ClusterError(f"cluster {files.name} runs, but {error}", "see: labkit status") from error
    return Started(files, settings["nodes"], already_running=True)


def _host_socket(port: int, progress: Progress) -> socket.socket:
    """Listen on the port of the last `up`, or on a free one."""
    try:
        return socket.create_server((HOST, port), backlog=512)
    except OSError as error:
        if not port:
            raise ClusterError(f"cannot listen on {HOST}: {error.strerror}", "labkit doctor") from error
    listener = socket.create_server((HOST, 0), backlog=512)
    chosen = listener.getsockname()[1]
    progress("note", f"port {port} is in use by another program: taking {chosen}; the kubeconfig is rewritten")
    return listener


@contextmanager
def _writable(files: Layout) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ClusterError(
            f"cannot write to the state directory {files.root}: {error.strerror or error}",
            "make it writable, or name another: export LABKIT_HOME=DIRECTORY",
        ) from error


def _settings(files: Layout) -> dict[str, Any]:
    return _read(files.root / "settings.json", {})


def _read(path: Path, default: Any) -> Any:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return default


def _plan(count: int) -> list[network.NodeNetwork]:
    try:
        return network.plan_nodes(count)
    except ValueError as error:
        raise ClusterError(str(error), "labkit up --nodes 2") from error


def _remove(files: Layout) -> None:
    """Remove a cluster's state; the lock file goes last, as its owner holds it."""
    for path in files.root.iterdir():
        if path != files.lock:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(files.root)


def _host_pids(first: int) -> dict[int, int]:
    """Map process ids inside the machine to the host's, for the first process and its children."""
    pids = [str(first), *Path(f"/proc/{first}/task/{first}/children").read_text().split()]
    pairs = {}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        spaces = next(line for line in lines if line.startswith("NSpid:")).split()
        pairs[int(spaces[-1])] = int(pid)
    return pairs


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
