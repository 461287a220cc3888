"""Gives a pod's volumes to its fsGroup: the group owns what is in them, may write, and keeps owning what comes.

Where only one id is mapped nothing changes hands: the pod's one user owns its volumes anyway.

Upstream: pkg/volume/volume_linux.go
"""

import os
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

WRITE, READ = 0o660, 0o440
DIRECTORY = stat.S_ISGID | 0o110  # what is made in it later is the group's too


def own(pod: dict, made: Mapping[str, Path], written: Collection[str], *, single: bool) -> None:
    """Give volumes, by their names, to the pod's fsGroup, if it has one; `written` are those that it may write to.

    What a hostPath shows is not the pod's. Raises OSError.
    """
    context = pod["spec"].get("securityContext") or {}
    if (gid := context.get("fsGroup")) is None or single:
        return
    hosts = {each["name"] for each in pod["spec"].get("volumes") or [] if "hostPath" in each}
    for name, directory in made.items():
        top = directory.stat()
        settled = top.st_gid == gid and top.st_mode & stat.S_ISGID
        if name in hosts or (settled and context.get("fsGroupChangePolicy") == "OnRootMismatch"):
            continue
        _give(str(directory), None, gid, mode := WRITE if name in written else READ)
        for _, folders, files, parent in os.fwalk(directory):
            for entry in (*folders, *files):
                _give(entry, parent, gid, mode)


def _give(name: str, parent: int | None, gid: int, mode: int) -> None:
    """Change one entry of an open directory: whatever a pod puts in its place meanwhile, no link is followed."""
    with suppress(FileNotFoundError):
        entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            found, opened = os.fstat(entry), f"/proc/self/fd/{entry}"
            if not stat.S_ISLNK(found.st_mode):
                os.chown(opened, -1, gid)
                os.chmod(opened, stat.S_IMODE(found.st_mode) | mode | (DIRECTORY if stat.S_ISDIR(found.st_mode) else 0))
        finally:
            os.close(entry)
