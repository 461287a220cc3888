"""The few Linux calls that Python 3.11 does not offer: namespaces, mounts, process attributes.

Each raises OSError as `os` functions do. Nothing here decides anything: what is made of these calls stands in
machine, network and the kubelet's runtime. Left out: whatever `os` already has.

Upstream: golang.org/x/sys/unix
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MNT_DETACH = 2

PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

MOUNT_ATTR_RDONLY = 0x1
AT_RECURSIVE = 0x8000
AT_FDCWD = -100
SYS_MOUNT_SETATTR = 442  # the same number on every architecture; Linux 5.12

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
_libc.sethostname.argtypes = (ctypes.c_char_p, ctypes.c_size_t)


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces (a new pid namespace: its next children)."""
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    """Move the calling thread into the namespace that `fd` refers to."""
    _checked(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Mount `source` at `target`."""
    result = _libc.mount(source.encode(), os.fsencode(target), fstype.encode() or None, flags, data.encode() or None)
    _checked(result, "mount", target)


def umount(target: str, flags: int = 0) -> None:
    """Take away what is mounted at `target`."""
    _checked(_libc.umount2(os.fsencode(target), flags), "umount", target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root of the calling process's mount namespace and move the old one to `put_old`."""
    _checked(_libc.pivot_root(os.fsencode(new_root), os.fsencode(put_old)), "pivot_root", new_root)


def set_mounts_read_only(target: str) -> None:
    """Make the mount at `target`, and all mounts below it, read-only."""
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        SYS_MOUNT_SETATTR, AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, ctypes.sizeof(attributes)
    )
    _checked(result, "mount_setattr", target)


def prctl(option: int, *arguments: int) -> None:
    """Change an attribute of the calling process."""
    _checked(_libc.prctl(option, *arguments, *[0] * (4 - len(arguments))), "prctl")


def drop_bounding_capability(number: int) -> None:
    """Take a capability from all that the calling process will ever execute."""
    prctl(PR_CAPBSET_DROP, number)


def set_dumpable() -> None:
    """Let the calling process's user see its /proc files again, as after an execve."""
    prctl(PR_SET_DUMPABLE, 1)


def set_no_new_privileges() -> None:
    """Let no later execve gain privileges, by set-uid bits or file capabilities."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def sethostname(name: str) -> None:
    """Name the calling process's UTS namespace."""
    encoded = name.encode()
    _checked(_libc.sethostname(encoded, len(encoded)), "sethostname", name)


def set_process_title(title: str) -> None:
    """Show `title` in ps and top instead of the interpreter's command line.

    The kernel shows the bytes between arg_start and arg_end of the process's own memory, so the title is written
    there, cut to the room there is.
    """
    name = ctypes.create_string_buffer(title.encode()[:15])
    _libc.prctl(PR_SET_NAME, ctypes.addressof(name), 0, 0, 0)
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # man proc_pid_stat: (48) arg_start, (49) arg_end; 0: not allowed
    if 0 < start < end:
        room = end - start
        ctypes.memmove(start, title.encode()[: room - 1].ljust(room, b"\0"), room)


@contextmanager
def inside_netns(fd: int) -> Iterator[None]:
    """Put the calling thread into the network namespace `fd` for the length of a with-block.

    Sockets opened within keep that namespace afterwards. Must never return in the wrong one: a thread that cannot
    come back ends the process.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd, CLONE_NEWNET)
        try:
            yield
        finally:
            try:
                setns(home, CLONE_NEWNET)
            except OSError:
                os.abort()
    finally:
        os.close(home)


def _checked(result: int, call: str, path: str | None = None) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}", path)
