"""Where a hand-in's code runs: own user, mount, pid, ipc and uts namespaces, in the network of its own cluster.

It is forked from its worker before that one knows anything: no order, no rubric, no result was ever in its memory.

The root is a tmpfs of a limited size. In it: the system and this Python environment, read-only; the course's files
for students; a kubeconfig with the student's token; nothing else. No home, no other hand-in, no rubric, no result.
The process that sets this up becomes the first of the pid namespace: when it ends, the kernel ends all others.

By root it is entered as nobody who owns anything on the host. RLIMIT_NPROC counts by user, so each sandbox has a user
namespace in which the limit was set before.

Upstream: none; the calls are those of labkit.glassbox's own containers
"""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import stat
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from labkit.glassbox import syscalls, unprivileged
from labkit.grading import warm

NAMESPACES = (
    syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
)  # fmt: skip
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/passwd",
          "/etc/group", "/etc/ssl", "/etc/localtime")  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom")
WORK = "/handin"
PR_SET_PDEATHSIG, LAST_CAPABILITY = 1, 40


class Box:
    """The process that will be the sandbox; until it is told its order, it waits."""

    def __init__(self) -> None:
        forking = multiprocessing.get_context("fork")
        told, self._tell = forking.Pipe(duplex=False)
        self.process = forking.Process(target=_wait_for_order, args=(told, self._tell), daemon=True)
        self.process.start()
        told.close()

    def start(self, order: Path) -> None:
        """Let it run what the file orders."""
        self._tell.send_bytes(str(order).encode())
        self._tell.close()

    def ended(self, seconds: float) -> bool:
        """Wait so long; tell whether it has ended."""
        self.process.join(seconds)
        return self.process.exitcode is not None


def _wait_for_order(told: Connection, tell: Connection) -> NoReturn:
    syscalls.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # with the worker everything ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    tell.close()
    try:
        order = json.loads(Path(told.recv_bytes().decode()).read_text())
    except EOFError:
        os._exit(0)
    os.setsid()
    for fd, path in enumerate((os.devnull, order["said"], order["errors"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), fd)
    enter(order)


def enter(order: dict[str, Any]) -> NoReturn:
    """Enter, run the order, and end as it ends."""
    limit(order["limits"])
    first = unprivileged.ids_for(order["name"], Path("/proc/self/uid_map").read_text(), os.geteuid())
    back = {path: os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for path, to in order["back"].items()}
    if first is not None:
        unprivileged.give(Path(order["folder"]), first)
        unprivileged.open_ways([Path(order["folder"]), *map(Path, order["read_only"])])
    unprivileged.enter(NAMESPACES, first)
    syscalls.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # which the kernel forgets with a change of user
    child = os.fork()
    if child == 0:
        inside(order, back)
    for fd in back.values():
        os.close(fd)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def inside(order: dict[str, Any], back: dict[str, int]) -> NoReturn:
    """Be the first process: make the root, start what was ordered, wait for it alone, then give back what it left."""
    try:
        syscalls.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        make_root(order)
        syscalls.sethostname("labkit")
        code = _run(order)
        _end_all()
        for path, fd in back.items():
            give_back(path, fd, order["limits"]["file"])
        os._exit(code)
    except BaseException as error:
        os.write(2, f"the sandbox cannot be made: {type(error).__name__}: {error}\n".encode())
        os._exit(125)


def _run(order: dict[str, Any]) -> int:
    worker = os.fork()
    if worker == 0:
        for capability in range(LAST_CAPABILITY + 1):
            syscalls.drop_bounding_capability(capability)
        syscalls.set_no_new_privileges()
        os.setsid()
        os.chdir(order["directory"])
        warm.run(order["job"], order["environment"])
    while True:
        pid, status = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(status) & 0xFF


def _end_all() -> None:
    """End what the hand-in left running: nothing may go on while its cluster is judged."""
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.wait()


def give_back(path: str, fd: int, most: int) -> None:
    """Copy a plain file of the hand-in's out, never what a link names, never more than `most` bytes."""
    try:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    if stat.S_ISREG(os.fstat(source).st_mode) and os.fstat(source).st_size <= most:
        while block := os.read(source, 1 << 20):
            os.write(fd, block)
    os.close(source)


def make_root(order: dict[str, Any]) -> None:
    """Build the tree that the hand-in sees, and make it the root."""
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    root = Path(order["folder"]) / "root"
    syscalls.mount("tmpfs", str(root), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV,
                   f"mode=755,size={order['limits']['disk']}")  # fmt: skip
    for path in (*SYSTEM, *order["read_only"], *(f"/dev/{name}" for name in DEVICES)):
        _bind(root, Path(path))
    for path in order["hidden"]:
        syscalls.mount("tmpfs", f"{root}{path}", "tmpfs", syscalls.MS_RDONLY, "size=4k,mode=755")
    for name in ("old", "proc", "tmp", "home", "dev/shm", "dev/pts"):
        (root / name).mkdir(parents=True, exist_ok=True)
    syscalls.mount("devpts", str(root / "dev/pts"), "devpts", syscalls.MS_NOSUID | syscalls.MS_NOEXEC,
                   "newinstance,ptmxmode=666,mode=620")  # fmt: skip
    (root / "dev/ptmx").symlink_to("pts/ptmx")  # IPython's `!` runs commands on a terminal
    (root / "dev/fd").symlink_to("/proc/self/fd")
    shutil.copytree(Path(order["folder"]) / "work", root / WORK[1:])
    syscalls.mount("proc", str(root / "proc"), "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    syscalls.pivot_root(str(root), str(root / "old"))
    os.chdir("/")
    syscalls.umount("/old", syscalls.MNT_DETACH)


def _bind(root: Path, path: Path) -> None:
    target = Path(f"{root}{path}")
    if not path.exists() or target.exists():
        return
    if path.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(os.readlink(path))
        return
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    syscalls.mount(str(path), str(target), flags=syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.set_mounts_read_only(str(target))


def limit(limits: dict[str, int]) -> None:
    """Set what each process, and all together, may use; children inherit it."""
    for name, value in (("NPROC", limits["processes"]), ("NOFILE", limits["files"]), ("AS", limits["memory"]),
                        ("FSIZE", limits["file"]), ("CORE", 0)):  # fmt: skip
        kind = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))
