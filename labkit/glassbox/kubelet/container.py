"""A process's first moments: from a fork of the pod's pause process to the image's command as pid 1, or to a command
that joins a container which runs.

Stands for runc. `start` and `join` are called in pause (sandbox.py); everything after the second fork happens in the
container's own mount and pid namespace, inside the pod's user, net, ipc and uts namespaces that pause holds. The root
file system is made from the steps which rootfs.py planned. What is joined is under the same restrictions.

A process gets either three files, as its standard ones, or a socket: then it makes a terminal in the container's own
/dev/pts and hands the other end over on the socket, as runc does on its console socket.

Invariants: the command runs confined (confine.py), with no file descriptor but 0, 1, 2; the host's root is detached
before it starts. Whatever fails before execve is told to pause in words.
Left out: cgroups.

Upstream: github.com/opencontainers/runc libcontainer/standard_init_linux.go, rootfs_linux.go
"""

import errno
import fcntl
import os
import resource
import secrets
import signal
import socket
import termios
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from labkit.glassbox import syscalls
from labkit.glassbox.kubelet.confine import confine

ROOT_SIZE = "256m"  # of memory: what a container writes outside its volumes

STOPPED = "cannot exec in a stopped container"

Step = Sequence[str]  # kind, target, source, options


class StartError(Exception):
    """The container's command could not be started; the text says why, as runc words it."""


def start(config: dict, files: Sequence[int], beside: int | None = None) -> tuple[int, int]:
    """Start the container that `config` describes; return its pid as pause sees it and as the machine sees it.

    `beside` is the machine's pid of a container whose pid namespace it is to share. Raises StartError.
    """
    return _fork_twice(config, lambda: _make_namespaces(beside), lambda answer: _become(config, files, answer))


def join(config: dict, files: Sequence[int], container: int) -> int:
    """Start `config`'s command in the namespaces of a container, of which the machine's pid is given; return its pid.

    Raises StartError.
    """
    pid, _ = _fork_twice(
        config, lambda: _enter_namespaces(container, "pid", "mnt"), lambda answer: _run(config, files, answer)
    )
    return pid


def _fork_twice(config: dict, place: Callable[[], None], body: Callable[[int], None]) -> tuple[int, int]:
    """Fork a process that goes to its `place`, and from there one that becomes what `body` makes of it.

    The namespace of pids that a process makes or enters is its children's only.
    """
    report, answer = os.pipe()
    outer = os.fork()
    if outer == 0:
        _guard(answer, lambda: _fork_inside(config, place, body, answer))
    os.close(answer)
    os.waitpid(outer, 0)
    with os.fdopen(report) as lines:
        told = [line.rstrip("\n").partition(" ") for line in lines]  # ends when execve closes the pipe
    words = {kind: text for kind, _, text in told}
    if "error" in words:
        if "pid" in words:
            os.waitpid(int(words["pid"]), 0)
        raise StartError(words["error"])
    return int(words["pid"]), int(words.get("machine-pid", words["pid"]))


def _fork_inside(config: dict, place: Callable[[], None], body: Callable[[int], None], answer: int) -> None:
    if adjustment := config["limits"]["oom_score_adj"]:
        Path("/proc/self/oom_score_adj").write_text(str(adjustment))
    place()
    pid = os.fork()
    if pid == 0:
        _guard(answer, lambda: body(answer))
    os.write(answer, b"pid %d\n" % pid)
    os._exit(0)  # the parent is now pause, pid 1 of the pod's pid namespace


def _make_namespaces(beside: int | None) -> None:
    if beside is not None:
        _enter_namespaces(beside, "pid")
    syscalls.unshare(syscalls.CLONE_NEWNS | (syscalls.CLONE_NEWPID if beside is None else 0))


def _enter_namespaces(pid: int, *kinds: str) -> None:
    try:
        opened = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]  # while /proc is the machine's
    except FileNotFoundError:
        raise StartError(STOPPED) from None
    for namespace in opened:
        syscalls.setns(namespace)


def _become(config: dict, files: Sequence[int], answer: int) -> None:
    os.write(answer, b"machine-pid %s\n" % os.readlink("/proc/self").encode())  # /proc is still the machine's
    compose(config["root"], config["steps"])
    if config["security"]["read_only_root"]:
        _freeze("/")
    _run(config, files, answer)


def _run(config: dict, files: Sequence[int], answer: int) -> None:
    os.setsid()
    _take_files(files, answer)
    _change_directory(config["cwd"])
    _restore_signals()
    os.umask(0o022)
    confine(config["security"])
    if config["args"] == ["/pause"]:
        _pause(answer)
    _execute(config["args"], config["env"])


def _take_files(files: Sequence[int], answer: int) -> None:
    """Put the standard files in their places and close all others."""
    if len(files) == 1:
        files = [_terminal(files[0])] * 3
    for target, source in enumerate([os.dup(each) for each in files]):  # dup: none of them is 0, 1, 2 from here on
        os.dup2(source, target)
    os.closerange(3, answer)  # `answer` stays, to tell what fails from here on; execve closes it
    os.closerange(answer + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _terminal(console: int) -> int:
    """Make the controlling terminal of this session; its other end goes out on the socket `console`."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
    with socket.socket(fileno=os.dup(console)) as out:
        socket.send_fds(out, [b"terminal"], [ours])
    return theirs


def _pause(answer: int) -> NoReturn:
    """Be the pause image's only program: wait until told to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    os.close(answer)
    while True:
        signal.pause()


def _execute(args: list[str], env: dict[str, str]) -> None:
    try:
        os.execvpe(args[0], args, env)
    except FileNotFoundError:
        where = f"stat {args[0]}: no such file or directory" if "/" in args[0] else "executable file not found in $PATH"
        raise StartError(f'exec: "{args[0]}": {where}') from None
    except OSError as error:
        raise StartError(f'exec: "{args[0]}": {os.strerror(error.errno or 0).lower()}') from None


def compose(root: str, steps: Sequence[Step]) -> None:
    """Make the root file system at the directory `root`, step by step, and change into it for good."""
    syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)  # nothing done here may reach the machine
    syscalls.mount("tmpfs", root, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, f"mode=755,size={ROOT_SIZE}")
    steps = [(kind, target, HOLDS.get(kind, str)(source), options) for kind, target, source, options in steps]
    # From here on every path is resolved in the new root, so that a link which an earlier container left in a volume
    # leads nowhere else. Until all is bound the machine's files are below a name that no container can know.
    machine = f"/.{secrets.token_hex(16)}"
    os.mkdir(root + machine)
    syscalls.pivot_root(root, root + machine)
    os.chdir("/")
    for kind, target, source, options in steps:
        try:
            STEPS[kind](target, machine + source if kind in HOLDS else source, options)
        except OSError as error:
            raise StartError(f'error mounting "{source or kind}" to rootfs at "{target}": {error.strerror}') from None
    syscalls.umount(machine, syscalls.MNT_DETACH)
    os.rmdir(machine)


def _hold(source: str) -> str:
    """Open what a volume shows, and return its name among this process's files; it stays the same whatever happens.

    The kubelet has resolved every link: one that is met now, another container has just put there. Raises StartError.
    """
    handle = os.open(source, os.O_PATH)
    if os.readlink(f"/proc/self/fd/{handle}") != source:
        raise StartError(f'error mounting "{source}": a link has come to lead elsewhere')
    return f"/proc/self/fd/{handle}"


HOLDS: dict[str, Callable[[str], str]] = {"bind": os.path.realpath, "volume": _hold}  # before the root is changed


def _directory(target: str, source: str, options: str) -> None:
    os.makedirs(target, exist_ok=True)
    os.chmod(target, int(options or "755", 8))


def _link(target: str, source: str, options: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.symlink(source, target)


def _file(target: str, source: str, options: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", encoding="utf-8") as file:
        file.write(source)
    os.chmod(target, int(options or "644", 8))


def _bind(target: str, source: str, options: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    # Recursive, for a user namespace may not uncover what lies under the machine's mounts.
    syscalls.mount(source, target, flags=syscalls.MS_BIND | syscalls.MS_REC)
    if options == "ro":
        _make_read_only(target)


def _make_read_only(target: str) -> None:
    try:
        syscalls.set_mounts_read_only(target)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        _freeze(target)


def _freeze(target: str) -> None:
    """Make one mount, and none below it, read-only."""
    kept = os.statvfs(target).f_flag & (syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    syscalls.mount("", target, flags=syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | kept)


def _mask(target: str, source: str, options: str) -> None:
    """Hide what lies at the target, if there is something."""
    if os.path.isdir(target):
        syscalls.mount("tmpfs", target, "tmpfs", syscalls.MS_RDONLY, "size=0")
    elif os.path.exists(target):
        syscalls.mount("/dev/null", target, flags=syscalls.MS_BIND)


def _read_only(target: str, source: str, options: str) -> None:
    if os.path.exists(target):
        syscalls.mount(target, target, flags=syscalls.MS_BIND | syscalls.MS_REC)
        _make_read_only(target)


def _tmpfs(target: str, source: str, options: str) -> None:
    os.makedirs(target, exist_ok=True)
    syscalls.mount("tmpfs", target, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)


def _proc(target: str, source: str, options: str) -> None:
    os.makedirs(target, exist_ok=True)
    syscalls.mount("proc", target, "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)


def _devpts(target: str, source: str, options: str) -> None:
    os.makedirs(target, exist_ok=True)
    syscalls.mount("devpts", target, "devpts", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, "newinstance,ptmxmode=0666")


STEPS: dict[str, Callable[[str, str, str], None]] = {
    "directory": _directory,
    "link": _link,
    "file": _file,
    "bind": _bind,
    "volume": _bind,
    "tmpfs": _tmpfs,
    "proc": _proc,
    "devpts": _devpts,
    "mask": _mask,
    "readonly": _read_only,
}


def _change_directory(path: str) -> None:
    os.makedirs(path, exist_ok=True)
    os.chdir(path)


def _restore_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _guard(answer: int, body: Callable[[], None]) -> NoReturn:
    """Run the rest of a forked child's life: it must never return into its parent's code."""
    try:
        body()
    except BaseException as error:
        os.write(answer, b"error %s\n" % str(error).replace("\n", " ").encode())
    finally:
        os._exit(128)
