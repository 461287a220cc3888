"""The process that forks sandboxes: single-threaded, forked from the kubelet before its first thread.

A process with threads must not fork and go on in Python; the kubelet has many threads. So before it starts any, it
forks this one, which shares the kubelet's memory copy-on-write, reads requests from a socket pair and forks a pause
process for each. It ends when the kubelet does; the sandboxes do not.

Each sandbox gets new user, net (but for a pod on the node's network), ipc, uts and pid namespaces, and may hold so many
processes: the kernel counts a user's processes at every user namespace on the way up, against the limit of whoever made
the next one below. So there are two, one inside the other, and the limit is set between them: what the inner one holds,
whoever's it is there, is counted in the outer one.

Upstream: none; containerd's `shim start` and runc's nsexec.c come nearest
"""

import gc
import json
import os
import resource
import signal
import socket
import traceback
from pathlib import Path
from typing import NoReturn

from labkit.glassbox import syscalls
from labkit.glassbox.kubelet.sandbox import Pause

NAMESPACES = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWPID
MAX_PROCESSES = 1000  # of one pod, threads included
COUNTED_SINCE = (5, 14)  # the Linux that counts processes by user namespace
SOCKET = "pause.sock"
MESSAGE = 65536


class SandboxError(Exception):
    """A sandbox could not be made."""


class Zygote:
    """The kubelet's end: make it before any thread exists."""

    def __init__(self) -> None:
        gc.freeze()  # a collection, here or in a child, would write to, and so copy, all memory that is shared
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self._socket.close()
            _serve(theirs)
        theirs.close()

    def fork(self, directory: Path, hostname: str, host_network: bool = False) -> int:
        """Make the sandbox whose files are in `directory`; return the pid of its pause process.

        One call at a time: the caller locks. Raises SandboxError.
        """
        request = {"directory": str(directory), "hostname": hostname, "host_network": host_network}
        self._socket.send(json.dumps(request).encode())
        answer = self._socket.recv(MESSAGE)
        if not answer:
            raise SandboxError("the process that makes sandboxes is gone")
        told = json.loads(answer)
        if "error" in told:
            raise SandboxError(told["error"])
        return told["pid"]

    def close(self) -> None:
        """Let the process end."""
        self._socket.close()
        os.waitpid(self.pid, 0)


def _serve(requests: socket.socket) -> NoReturn:
    gc.disable()
    syscalls.set_process_title("zygote")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the kubelet's to handle; its end is seen as end of file
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while message := requests.recv(MESSAGE):
        request = json.loads(message)
        pid = os.fork()
        if pid == 0:
            _make_sandbox(requests, Path(request["directory"]), request["hostname"], request["host_network"])
        os.waitpid(pid, 0)
    os._exit(0)


def _make_sandbox(answers: socket.socket, directory: Path, hostname: str, host_network: bool) -> NoReturn:
    """Enter the new namespaces and fork pause, pid 1 of the pod; its parent is then the machine's first process."""
    try:
        listener = _listen(directory / SOCKET)
        _enter_user_namespace()
        _limit_processes()
        _enter_user_namespace()
        syscalls.unshare(NAMESPACES & ~(syscalls.CLONE_NEWNET if host_network else 0))
        syscalls.sethostname(hostname)
        if os.fork() == 0:
            _pause(answers, listener, directory)
    except BaseException as error:
        answers.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
    finally:
        os._exit(0)


def _pause(answers: socket.socket, listener: socket.socket, directory: Path) -> NoReturn:
    try:
        os.setsid()
        syscalls.set_process_title(f"pause {directory.name}")
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        pid = int(os.readlink("/proc/self"))  # /proc is the machine's: its number for us, where we are 1
        answers.send(json.dumps({"pid": pid}).encode())
        answers.close()
        _leave_standard_files()
        Pause(directory).run(listener)
    except BaseException:
        (directory / "pause.err").write_text(traceback.format_exc())
    finally:
        os._exit(1)


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen(64)
    return listener


def _leave_standard_files() -> None:
    """Hold nothing open of the kubelet's: whoever reads its output must see its end."""
    null = os.open("/dev/null", os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(null, target)
    os.close(null)


def _enter_user_namespace() -> None:
    """Make a user namespace that has the ids of the one around it, and be its root."""
    ids = {kind: _identity(Path(f"/proc/self/{kind}_map").read_text()) for kind in ("uid", "gid")}
    if sum(count for _, _, count in ids["uid"]) == 1:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        syscalls.map_ids(ids["uid"], ids["gid"])
        return
    # More than its own id nobody may map for himself: a fork that stays outside does.
    waiting, entered = os.pipe()
    outside = os.getpid()
    helper = os.fork()
    if helper == 0:
        _map_for(outside, ids, waiting)
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    os.write(entered, b"\n")
    _, status = os.waitpid(helper, 0)
    os.close(waiting)
    os.close(entered)
    if status:
        raise SandboxError("user ids could not be mapped")


def _map_for(pid: int, ids: dict[str, list[syscalls.IdRange]], waiting: int) -> NoReturn:
    code = 1
    try:
        os.read(waiting, 1)
        syscalls.map_ids(ids["uid"], ids["gid"], pid)
        code = 0
    except OSError:
        traceback.print_exc()
    finally:
        os._exit(code)


def _identity(mapped: str) -> list[syscalls.IdRange]:
    """Return the map of a namespace that has all ids that `mapped`, a uid_map as /proc shows it, has: pure."""
    lines = (line.split() for line in mapped.splitlines())
    return [(int(inside), int(inside), int(count)) for inside, _, count in lines]


def _limit_processes() -> None:
    version = tuple(int(part) for part in os.uname().release.split(".")[:2])
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    if version >= COUNTED_SINCE and (most == resource.RLIM_INFINITY or most > MAX_PROCESSES):
        resource.setrlimit(resource.RLIMIT_NPROC, (MAX_PROCESSES, MAX_PROCESSES))
