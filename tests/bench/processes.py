"""Reads from /proc what a cluster's processes cost."""

import os
from pathlib import Path


def descendants(marker: str) -> list[int]:
    """The machine's process, found by the state folder in its command line or environment, and all below it."""
    roots = [pid for pid in all_pids() if marker.encode() in read(pid, "environ") and pid != os.getpid()]
    return sorted({*roots, *below(*roots)})


def below(*roots: int) -> set[int]:
    """The children of these processes, and theirs."""
    parents, found = {pid: parent_of(pid) for pid in all_pids()}, set(roots)
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found - set(roots)


def all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def read(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def fields(pid: int) -> list[bytes]:
    """What follows the command's name in /proc/PID/stat: state first, then parent, … (proc(5))."""
    return read(pid, "stat").rpartition(b")")[2].split()


def parent_of(pid: int) -> int:
    values = fields(pid)
    return int(values[1]) if values else 0


def pss_bytes(pids: list[int]) -> int:
    """Proportional set size: shared pages are divided among those who share them."""
    lines = (line for pid in pids for line in read(pid, "smaps_rollup").splitlines() if line.startswith(b"Pss:"))
    return sum(int(line.split()[1]) * 1024 for line in lines)


def cpu_seconds(pids: list[int]) -> float:
    ticks = sum(int(values[11]) + int(values[12]) for pid in pids if (values := fields(pid)))
    return ticks / os.sysconf("SC_CLK_TCK")
