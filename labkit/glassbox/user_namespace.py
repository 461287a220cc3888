"""User namespaces: which ids of a new one stand for which of those around it.

A range is (first inside, first outside, how many). A process may map its own id and no other by itself; for more, a
fork that stays outside, and has power there, does it.

Upstream: github.com/opencontainers/runc libcontainer/nsenter/nsexec.c
"""

import os
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from labkit.glassbox import syscalls

IdRange = tuple[int, int, int]


def enter(uids: Sequence[IdRange], gids: Sequence[IdRange], namespaces: int = 0) -> None:
    """Move the calling process into a new user namespace, and into new ones of other kinds too. Raises OSError."""
    namespaces |= syscalls.CLONE_NEWUSER
    if sum(count for *_, count in uids) == 1:
        syscalls.unshare(namespaces)
        Path("/proc/self/setgroups").write_text("deny")  # the kernel's condition for mapping one's own group
        _map("self", uids, gids)
        return
    waiting, entered = os.pipe()
    outside = os.getpid()
    if (helper := os.fork()) == 0:
        _map_for(outside, uids, gids, waiting)
    try:
        syscalls.unshare(namespaces)
    finally:
        os.write(entered, b"\n")
        _, status = os.waitpid(helper, 0)
        os.close(waiting)
        os.close(entered)
    if status:
        raise PermissionError(1, "user ids could not be mapped")


def copy(namespaces: int = 0) -> None:
    """Enter a new user namespace that has the same ids as the one around it."""
    enter(_identity("uid"), _identity("gid"), namespaces)


@cache
def has_one_id() -> bool:
    """Tell whether this process's user namespace maps a single user."""
    return sum(count for *_, count in _identity("uid")) == 1


def _identity(kind: str) -> list[IdRange]:
    lines = (line.split() for line in Path(f"/proc/self/{kind}_map").read_text().splitlines())
    return [(int(inside), int(inside), int(count)) for inside, _, count in lines]


def _map_for(pid: int, uids: Sequence[IdRange], gids: Sequence[IdRange], waiting: int) -> NoReturn:
    code = 1
    try:
        os.read(waiting, 1)
        _map(pid, uids, gids)
        code = 0
    except OSError:
        traceback.print_exc()
    finally:
        os._exit(code)


def _map(pid: int | str, uids: Sequence[IdRange], gids: Sequence[IdRange]) -> None:
    for kind, ranges in (("uid", uids), ("gid", gids)):
        Path(f"/proc/{pid}/{kind}_map").write_text("".join(f"{a} {b} {count}\n" for a, b, count in ranges))
