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

from labkit.glassbox import syscalls, user_namespace
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
        user_namespace.copy()
        _limit_processes()
        user_namespace.copy(NAMESPACES & ~(syscalls.CLONE_NEWNET if host_network else 0))
        _limit_shared_memory()
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
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))  # containers that share its process namespace may end it
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


def _limit_shared_memory() -> None:
    """Bound System V's shared memory, which belongs to no process and no file system: 64 MiB in pages."""
    Path("/proc/sys/kernel/shmall").write_text(str(64 * 2**20 // resource.getpagesize()))


def _limit_processes() -> None:
    version = tuple(int(part) for part in os.uname().release.split(".")[:2])
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    if version >= COUNTED_SINCE and (most == resource.RLIM_INFINITY or most > MAX_PROCESSES):
        resource.setrlimit(resource.RLIMIT_NPROC, (MAX_PROCESSES, MAX_PROCESSES))
