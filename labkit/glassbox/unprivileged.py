"""Makes the machine nobody's who counts on the host: started by root, it goes on with ids that own nothing.

Why: the kernel lets the host's root have as many processes as he likes, in whatever namespace; and what breaks out of a
pod and of the machine would be root. So 65,536 ids that no account of the host has stand for the machine's. What they
must reach lies in root's own directories, closed to others: in the machine these are covered by an empty tmpfs, and
what is needed is bound in its place, so that the rest of root's home is gone too. The state directory is given to the
new ids; the host's root reads it all the same.

An ordinary user has one id to give, his own, and his files stay as accessible as they are to him.

Upstream: none; rootless mode of container engines, /etc/subuid
"""

import os
import stat
import zlib
from collections.abc import Iterable
from pathlib import Path

from labkit.glassbox import syscalls, user_namespace

COUNT = 65536
FIRST, LAST = 1_879_048_192, 2_147_483_647  # by systemd's account nobody's: neither users nor containers
CLOSED_SIZE = "size=1m,mode=755"


def ids_for(name: str, uid_map: str, uid: int) -> int | None:
    """Return the first of a cluster's ids; None for an ordinary user, or where there are not enough ids. Pure."""
    highest = max((int(first) + int(count) for first, _, count in map(str.split, uid_map.splitlines())), default=0)
    if uid != 0 or highest <= LAST:
        return None
    return FIRST + zlib.crc32(name.encode()) % ((LAST - FIRST) // COUNT) * COUNT


def enter(namespaces: int, first: int | None) -> None:
    """Become root of new namespaces: with the ids from `first` on, or with the caller's own and no other."""
    if first is None:
        user_namespace.enter([(0, os.geteuid(), 1)], [(0, os.getegid(), 1)], namespaces)
        return
    user_namespace.enter([(0, first, COUNT)], [(0, first, COUNT)], namespaces)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    syscalls.set_dumpable()  # with the change of user the kernel hid this process's /proc files from itself


def give(directory: Path, owner: int) -> None:
    """Give what root owns in a directory to the machine's root; links are not followed, nor what has a second name."""
    for parent, folders, files in os.walk(directory):
        for path in [parent, *(os.path.join(parent, name) for name in (*folders, *files))]:
            found = os.lstat(path)
            if found.st_uid == 0 and (found.st_nlink == 1 or stat.S_ISDIR(found.st_mode)):
                os.lchown(path, owner, owner)


def open_ways(wanted: Iterable[Path]) -> None:
    """Let others reach `wanted`, in a mount namespace of this process's own, and nothing else of closed directories."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    paths = sorted({path.resolve() for path in wanted if path.exists() and _is_open(path.stat())})
    closed = {path: found for path in paths if (found := first_closed(path))}
    handles = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in closed}
    for directory in sorted({*closed.values()}):
        syscalls.mount("tmpfs", str(directory), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, CLOSED_SIZE)
    for path, handle in handles.items():
        if not path.exists():  # else it lies in one that was bound before
            path.mkdir(parents=True)
            syscalls.mount(f"/proc/self/fd/{handle}", str(path), flags=syscalls.MS_BIND | syscalls.MS_REC)
        os.close(handle)


def first_closed(path: Path) -> Path | None:
    """Return the topmost directory on the way to a path through which others may not go."""
    return next((directory for directory in reversed(path.parents) if not _is_open(directory.stat())), None)


def _is_open(found: os.stat_result) -> bool:
    """Tell whether who is not root may go through: others may, or it is not root's."""
    return bool(found.st_mode & 0o001) or found.st_uid != 0
