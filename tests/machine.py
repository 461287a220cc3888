"""Programs that run in a machine of their own: a child process in fresh namespaces, as root or as an ordinary user."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from labkit.glassbox import syscalls

ROOT = Path(__file__).parents[1]


def run(prelude: str, body: str) -> str:
    """Run a program in a child and return what it prints; the prelude calls become_machine()."""
    program = prelude + textwrap.dedent(body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def become_machine() -> None:
    """Go on in namespaces of this process's own; the process that was there before ends with this one's exit code."""
    uid, gid = os.getuid(), os.getgid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    if child := os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    syscalls.mount("tmpfs", "/run", "tmpfs")
