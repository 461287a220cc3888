"""Takes from a process, just before its command runs, all that its container may not be or do.

Called in the process itself, when its namespaces and files are made: capabilities, new privileges, the seccomp
filter, then the user. The order matters: each step needs what a later one takes away.

With a single id to map, a process that runs as another than root gets a user namespace of its own, in which the
pod's one user has that id. It has no power over the namespaces around, as any ordinary user.

Invariant: nothing that was taken can be had again by what the command executes.

Upstream: github.com/opencontainers/runc libcontainer/init_linux.go (finalizeNamespace)
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.glassbox import syscalls, user_namespace
from labkit.glassbox.kubelet import seccomp
from labkit.glassbox.user_namespace import has_one_id

LAST_CAPABILITY = 63  # what the kernel does not know answers EINVAL


def confine(security: dict[str, Any]) -> None:
    """Make of the calling process what security.Security says."""
    uid, gid = security["uid"], security["gid"]
    single = has_one_id()
    if single and (uid or gid):
        _become_another(uid, gid)
    keep_capabilities(security["capabilities"])
    if security["no_new_privileges"]:
        syscalls.set_no_new_privileges()
    if security["seccomp"]:
        seccomp.install()
    if not single:
        _change_user(uid, gid, security["groups"])


def keep_capabilities(kept: Sequence[int]) -> None:
    """Give up every other capability, for all that this process will execute."""
    for number in range(LAST_CAPABILITY + 1):
        if number not in kept:
            try:
                syscalls.drop_bounding_capability(number)
            except OSError:
                break  # beyond the last one that this kernel has


def _become_another(uid: int, gid: int) -> None:
    user_namespace.enter([(uid, os.geteuid(), 1)], [(gid, os.getegid(), 1)])


def _change_user(uid: int, gid: int, groups: Sequence[int]) -> None:
    for stream in (0, 1, 2):
        if os.fstat(stream).st_uid != uid and not os.isatty(stream) and Path(f"/proc/self/fd/{stream}").is_fifo():
            os.fchown(stream, uid, gid)  # so that /dev/stdout can be opened anew
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
