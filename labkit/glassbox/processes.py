"""What processes use, read from /proc: their processor time, their memory, who descends from whom.

Pure but for the reading. Times are seconds, memory is bytes. A process may end between two reads; what is gone counts
as nothing. Whoever asks sees the processes of the pid namespace of its own /proc.

Upstream: github.com/google/cadvisor, which reads control groups instead
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BLOCK = 4096  # bytes
TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds


@dataclass(frozen=True)
class Process:
    """One process: its parent, and the processor time of itself and of its children that have ended."""

    pid: int
    parent: int
    cpu: float
    threads: int = 1


@dataclass(frozen=True)
class Table:
    """All processes at one moment."""

    processes: dict[int, Process]
    children: dict[int, list[int]]

    def below(self, root: int) -> Iterator[Process]:
        """Give the process `root` and all that descend from it."""
        todo = [root] if root in self.processes else []
        while todo:
            pid = todo.pop()
            yield self.processes[pid]
            todo += self.children.get(pid, ())


def table() -> Table:
    """Read them all."""
    found = {process.pid: process for name in os.listdir("/proc") if name.isdigit() and (process := read(int(name)))}
    children: dict[int, list[int]] = {}
    for process in found.values():
        children.setdefault(process.parent, []).append(process.pid)
    return Table(found, children)


def read(pid: int) -> Process | None:
    """Return one process, None when it is gone."""
    try:
        fields = _content(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # man proc_pid_stat: the first is (3) state
    except OSError:
        return None
    return Process(pid, int(fields[1]), sum(map(int, fields[11:15])) * TICK, int(fields[17]))


def descendants(root: int) -> list[Process]:
    """Return the process `root` and what descends from it, without a look at any other."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if process := read(pid):
            found.append(process)
            todo += children(pid, process.threads)
    return found


def children(pid: int, threads: int = 1) -> list[int]:
    """Return the processes that a process, of so many threads, has started and that live."""
    try:
        numbers = os.listdir(f"/proc/{pid}/task") if threads > 1 else [pid]
        return [int(each) for tid in numbers for each in _content(f"/proc/{pid}/task/{tid}/children").split()]
    except OSError:
        return []


def _content(path: str) -> bytes:
    """Return what a file of /proc says; `open` would take four times as long, and this is done often."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 1 << 16)
    finally:
        os.close(file)


def cpu(processes: Iterable[Process]) -> float:
    """Return the processor time, in seconds, that they and their ended children have had."""
    return sum(process.cpu for process in processes)


def proportional_memory(pid: int) -> int:
    """Return a process's memory in bytes, each shared page divided by those that share it."""
    return _proportions(pid).get("Pss:", 0)


def shares(pid: int) -> tuple[int, int]:
    """Return a process's part, in bytes, of anonymous memory and of memory that is shared by name."""
    found = _proportions(pid)
    return found.get("Pss_Anon:", 0), found.get("Pss_Shmem:", 0)


def _proportions(pid: int) -> dict[str, int]:
    try:
        lines = _content(f"/proc/{pid}/smaps_rollup").decode().splitlines()
    except OSError:
        return {}
    return {name: int(size) * 1024 for name, size, *_ in map(str.split, lines) if name.startswith("Pss")}


def own_memory(pid: int) -> int:
    """Return the memory, in bytes, that belongs to no file on a disk; shared pages count in full."""
    try:
        lines = _content(f"/proc/{pid}/status").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith((b"RssAnon:", b"RssShmem:"))) * 1024


def memory_files(pids: Iterable[int]) -> int:
    """Return the size, in bytes, of what the processes hold open by memfd_create."""
    sizes = {}
    for pid in pids:
        with suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                path = f"/proc/{pid}/fd/{number}"
                if os.readlink(path).startswith("/memfd:"):
                    found = os.stat(path)
                    sizes[found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def on_disk(directory: Path) -> int:
    """Return how many bytes a directory takes, each file and directory a block at least; links are not followed."""
    found = os.walk(directory)
    return sum(_blocks(os.path.join(parent, name)) for parent, *names in found for name in sum(names, []))


def _blocks(path: str) -> int:
    try:
        return max(os.lstat(path).st_blocks * 512, BLOCK)
    except OSError:
        return 0  # deleted meanwhile


def used(directory: str) -> int:
    """Return how many bytes of the file system at `directory` are in use; nothing where it is gone."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize
