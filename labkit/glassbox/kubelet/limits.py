"""Holds containers to their limits of processor time and memory, by counting: no control group is needed.

Stands for what the kernel's cgroups do for a real kubelet. Pause asks (sandbox.py), so limits hold while the kubelet is
away; only containers with limits are looked at, and one that sleeps once a second.

Processor time is an account: it fills by the limit, what the container used is taken off, and whoever is overdrawn is
stopped (SIGSTOP) until it is even. Memory is what the processes hold themselves, and what lies in the container's tmpfs
file systems and memory files; who has too much is killed as a whole.

Invariants: what was stopped is continued or killed; a container that does nothing is not looked at closely.
Left out: control groups where one may write to them, as root may, and with them requests as weights between containers:
one way for everybody is simpler. The containers of a pod that has limits of its own are held to them one by one. What a
container allocates between two looks is beyond its limit until the next.

Upstream: none; kernel/sched/fair.c (bandwidth control) and mm/memcontrol.c are what it stands for
"""

import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from labkit.glassbox import processes, quantity

SHORTEST, LONGEST = 0.02, 1.0  # seconds between two looks
BURST = 0.1  # seconds for which what was not used may be saved, as the kernel's period
CLOSE_LOOK = 0.25  # seconds between two exact counts of shared memory, which are slow
Key = tuple[str, int]  # container's name, attempt


@dataclass(frozen=True)
class Limits:
    """What a container may use: kept in config.json; 0 is without limit."""

    cpu: float = 0.0  # cores
    memory: int = 0  # bytes
    oom_score_adj: int = 0  # whom the kernel kills first when the whole host has no memory left
    file_systems: tuple[str, ...] = ()  # tmpfs directories of the pod of which the container has the use
    own: tuple[str, ...] = ("/",)  # those that it alone has, as it sees them

    def as_dict(self) -> dict:
        """Return it as JSON has it."""
        return asdict(self)


def plan(pod: dict, container: dict, capacity: int, file_systems: Iterable[str], own: Iterable[str] = ()) -> Limits:
    """Return a container's limits, its pod's where it has none; `capacity` is the node's memory in bytes. Pure."""
    limits, requests = (amounts(pod["spec"], kind) | amounts(container, kind) for kind in ("limits", "requests"))
    qos = (pod.get("status") or {}).get("qosClass", "BestEffort")
    return Limits(
        cpu=quantity.millicores(limits.get("cpu", 0)) / 1000,
        memory=quantity.bytes_of(limits.get("memory", 0)),
        oom_score_adj=oom_score_adj(qos, quantity.bytes_of(requests.get("memory", 0)), capacity),
        file_systems=tuple(file_systems),
        own=("/", *own),
    )


def amounts(holder: dict, kind: str) -> dict[str, str]:
    """Return the limits or requests of a container, or of a pod's spec."""
    return (holder.get("resources") or {}).get(kind) or {}


def oom_score_adj(qos: str, request: int, capacity: int) -> int:
    """Return upstream's score, which for Guaranteed would be below what an ordinary user may set."""
    if qos == "Guaranteed":
        return 0
    if qos == "BestEffort":
        return 1000
    return max(3, min(999, 1000 - 1000 * request // max(capacity, 1)))


@dataclass
class Account:
    """A container's processor time."""

    share: float  # cores
    used: float  # seconds, when last looked at
    at: float  # when that was
    credit: float = 0.0  # seconds of processor time that are left to use

    def settle(self, now: float, used: float) -> float:
        """Take off what was used; return for how many seconds the container must stop."""
        earned = (now - self.at) * self.share
        self.credit = min(self.credit + earned - (used - self.used), BURST * self.share)
        self.used, self.at = used, now
        return max(-self.credit / self.share, 0.0)


@dataclass
class Watched:
    """A running container with limits."""

    pid: int  # of its first process, as the machine numbers it
    limits: Limits
    account: Account
    due: float
    pause: float = SHORTEST  # seconds until the next look
    stopped: bool = False
    seen: float = -1.0  # the processor time used when memory was last looked at: without more of it none is taken
    counted: float = 0.0  # when shared memory was last counted exactly


class Enforcer:
    """The limits of one pod's containers; called with the time, in seconds of any clock that does not jump."""

    def __init__(self) -> None:
        self.watched: dict[Key, Watched] = {}

    def add(self, key: Key, pid: int, limits: Limits, now: float) -> None:
        """Watch a container that has started."""
        if limits.cpu or limits.memory:
            self.watched[key] = Watched(pid, limits, Account(limits.cpu or float(os.cpu_count() or 1), 0, now), now)

    def change(self, key: Key, limits: Limits, pid: int, now: float) -> None:
        """Hold a container to other limits from now on; one that is stopped goes on with the next look."""
        stopped = key in self.watched and self.watched.pop(key).stopped
        self.add(key, pid, limits, now)
        if key in self.watched:
            self.watched[key].stopped = stopped

    def remove(self, key: Key) -> None:
        """Forget a container that has ended."""
        self.watched.pop(key, None)

    def wait(self, now: float) -> float | None:
        """Return for how many seconds nothing is due, None for ever."""
        return max(0.0, min(each.due for each in self.watched.values()) - now) if self.watched else None

    def look(self, now: float, joined: Mapping[int, Key]) -> list[Key]:
        """Hold to its limits whoever is due; return the containers that were killed for their memory.

        `joined` says which container each other child of pause, by its number in the pod, has joined.
        """
        return [key for key, each in self.watched.items() if each.due <= now and self._hold(key, each, now, joined)]

    def _hold(self, key: Key, each: Watched, now: float, joined: Mapping[int, Key]) -> bool:
        roots = [each.pid, *_joined(key, joined)]
        found = [process for root in roots for process in processes.descendants(root)]
        used, before = processes.cpu(found), each.account.used
        overdrawn = each.account.settle(now, used) if each.limits.cpu else 0.0
        each.account.used = used
        idle = used - before < processes.TICK and not each.stopped
        each.pause = min(each.pause * 2, LONGEST) if idle else SHORTEST
        each.due = now + (max(overdrawn, SHORTEST) if overdrawn else each.pause)
        if each.limits.memory and used != each.seen and over_memory(each, found, now):
            _signal(found, signal.SIGKILL)
            return True
        each.seen = used
        if each.stopped and not overdrawn:
            _signal(found, signal.SIGCONT)
        elif overdrawn:
            _signal(found, signal.SIGSTOP)  # again: it may have forked meanwhile
        each.stopped = overdrawn > 0
        return False


def over_memory(each: Watched, found: list[processes.Process], now: float) -> bool:
    """Tell whether a container holds more memory than it may."""
    files = _file_systems(each, found)
    rough = sum(processes.own_memory(process.pid) for process in found) + files
    if rough <= each.limits.memory or now - each.counted < CLOSE_LOOK:
        return False
    each.counted = now
    exact = [processes.shares(process.pid) for process in found]
    return sum(own for own, _ in exact) + max(sum(shared for _, shared in exact), files) > each.limits.memory


def _file_systems(each: Watched, found: list[processes.Process]) -> int:
    roots = [*(f"/proc/{each.pid}/root{path}" for path in each.limits.own), *each.limits.file_systems]
    return sum(map(processes.used, roots)) + processes.memory_files(process.pid for process in found)


def _joined(key: Key, joined: Mapping[int, Key]) -> list[int]:
    """Return, as the machine numbers them, the processes that have joined a container."""
    if key not in joined.values():
        return []
    children = processes.children(int(os.readlink("/proc/self")))
    return [pid for pid in children if joined.get(_number_in_pod(pid)) == key]


def _number_in_pod(pid: int) -> int:
    """Return a process's number in the pod's pid namespace, which is pause's own; 0 when it is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        numbers = next(line for line in lines if line.startswith("NSpid:")).split()[1:]
        return int(numbers[1]) if len(numbers) > 1 else 0
    return 0


def _signal(found: Iterable[processes.Process], signum: int) -> None:
    for process in found:
        if number := _number_in_pod(process.pid):
            with suppress(ProcessLookupError):
                os.kill(number, signum)
