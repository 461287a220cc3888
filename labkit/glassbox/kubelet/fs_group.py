"""Gives a pod's volumes to its fsGroup: the group owns what is in them, may write, and keeps owning what comes.

Where only one id is mapped nothing changes hands: the pod's one user owns its volumes anyway.

Upstream: pkg/volume/volume_linux.go
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

WRITE = 0o660
DIRECTORY = stat.S_ISGID | 0o110  # what is made in it later is the group's too


def own(pod: dict, directories: Iterable[Path], *, single: bool) -> None:
    """Give the directories of a pod's volumes to its fsGroup, if it has one. Raises OSError."""
    context = pod["spec"].get("securityContext") or {}
    if (gid := context.get("fsGroup")) is None or single:
        return
    for directory in directories:
        top = directory.stat()
        if context.get("fsGroupChangePolicy") == "OnRootMismatch" and top.st_gid == gid and top.st_mode & stat.S_ISGID:
            continue
        for path in _everything(directory):
            _give(path, gid)


def _everything(directory: Path) -> Iterable[str]:
    yield str(directory)
    for parent, folders, files in os.walk(directory):
        yield from (os.path.join(parent, name) for name in (*folders, *files))


def _give(path: str, gid: int) -> None:
    """Change one entry; a link is given away, and never followed."""
    found = os.lstat(path)
    os.lchown(path, -1, gid)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(path, stat.S_IMODE(found.st_mode) | WRITE | (DIRECTORY if stat.S_ISDIR(found.st_mode) else 0))
