"""Ends pods that take more of the disk than they may, and, when the node itself runs short, those that cost it most.

Two questions. Every ten seconds: does a pod exceed a limit of its own, an emptyDir's sizeLimit or ephemeral-storage?
And as soon as it could have changed: has the node memory and disk left? If not, one pod at a time goes: those that use
more than they asked for first, then by priority, then by how much more they use.

Invariants: a pod critical to the system is never evicted; what is evicted stays Failed, and its reason says why.
Nothing is measured of pods without such limits while the node has enough.
Left out: soft thresholds, inodes. The nodes share one host, so they are short of memory together.

Upstream: pkg/kubelet/eviction/eviction_manager.go, helpers.go
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from labkit.glassbox import clock, objects, processes, quantity
from labkit.glassbox.errors import ApiError
from labkit.glassbox.kubelet import node_status, pods
from labkit.glassbox.kubelet.env import ConfigError
from labkit.glassbox.kubelet.limits import amounts
from labkit.glassbox.kubelet.stats import Stats
from labkit.glassbox.kubelet.status import Verdict
from labkit.glassbox.kubelet.surroundings import Surroundings
from labkit.glassbox.kubelet.volumes import claim
from labkit.glassbox.processes import on_disk

log = logging.getLogger(__name__)

SHORTEST, LONGEST = 0.5, 10.0  # seconds between two looks
FASTEST = 2 * 2**30  # bytes a second that pods can fill, about
SETTLE = 5.0  # seconds after an eviction before the next: what the first freed must show
CRITICAL = 2_000_000_000  # the priority from which on a pod is the system's
GRACE = 1  # seconds; a pod that starves the others has no more
STORAGE = "ephemeral-storage"


@dataclass(frozen=True)
class Use:
    """What a pod and each of its containers use of one resource, in bytes."""

    pod: dict
    total: int
    containers: dict[str, int]


class Evictor:
    """Looks after one node's resources in a thread of its own."""

    def __init__(self, around: Surroundings, get_pods: Callable[[], list[dict]], stats: Stats,
                 condemn: Callable[[str, Verdict], None], look: Callable[[], node_status.Host]) -> None:  # fmt: skip
        self.around, self.get_pods, self.stats, self.condemn, self.look = around, get_pods, stats, condemn, look
        self._rest_until = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Look until told to stop."""
        due, pause = 0.0, SHORTEST
        while not stopping.wait(pause):
            try:
                host = self.look()
                self.relieve(host)
                pause = patience(host)
                if (now := self.around.clock.now()) >= due:
                    due = now + LONGEST
                    self.hold_limits()
            except Exception as error:
                log.warning("eviction: %s", error)

    def hold_limits(self) -> None:
        """Evict the pods that exceed a limit of their own."""
        for pod in self._evictable():
            if has_storage_limits(pod) and (why := exceeded(pod, *self._storage(pod))):
                self.evict(pod, why)

    def relieve(self, host: node_status.Host) -> None:
        """Evict one pod, if the node has too little of something."""
        memory, disk = node_status.pressures(host)
        now = self.around.clock.now()
        if not (memory or disk) or now < self._rest_until:
            return
        resource = "memory" if memory else STORAGE
        uses = self._memory() if memory else [self._disk(pod) for pod in self._evictable()]
        if ranked := rank(uses, resource):
            self._rest_until = now + SETTLE
            self.evict(ranked[0].pod, pressure(ranked[0], resource, *node_status.threshold(host, resource)))

    def evict(self, pod: dict, message: str) -> None:
        """End a pod for good, and say why on the pod, in its status and in an event."""
        self.around.warn(pod, "Evicted", message)
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "TerminationByKubelet",
            "message": message,
            "lastTransitionTime": clock.rfc3339(self.around.clock.now()),
        }
        patch = {"status": {"conditions": [condition]}}
        where = objects.name(pod), objects.namespace(pod)
        try:
            self.around.api.patch("pods", *where, patch, kind="strategic", subresource="status")
        except ApiError as error:
            log.info("condition of %s: %s", where, error)
        self.condemn(objects.uid(pod), Verdict("Evicted", message, GRACE))

    def _evictable(self) -> list[dict]:
        live = (pod for pod in self.get_pods() if not pods.is_finished(pod) and not objects.is_deleting(pod))
        return [pod for pod in live if (pod["spec"].get("priority") or 0) < CRITICAL]

    def _memory(self) -> list[Use]:
        now, actual = self.stats.sample()
        uses = []
        for pod in self._evictable():
            if found := actual.get(objects.uid(pod)):
                latest = [last for name in found.containers if (last := found.latest(name))]
                each = {last.name: now.containers[last.id].memory for last in latest if last.id in now.containers}
                uses.append(Use(pod, sum(each.values()), each))
        return uses

    def _disk(self, pod: dict) -> Use:
        volumes, containers = self._storage(pod)
        return Use(pod, sum(volumes.values()) + sum(containers.values()) + self._claims(pod), containers)

    def _storage(self, pod: dict) -> tuple[dict[str, int], dict[str, int]]:
        """Return what a pod's emptyDirs on disk hold, and what its containers wrote and logged."""
        uid = objects.uid(pod)
        volumes = {name: on_disk(self.around.places(uid).disk / name) for name in _empty_directories(pod)}
        actual, containers = self.around.runtime.inspect(uid), {}
        for name in actual.containers:
            last = actual.latest(name)
            written = processes.used(f"/proc/{last.pid}/root") if last and last.running else 0
            containers[name] = written + on_disk(self.around.log_directory(pod) / name)
        return volumes, containers

    def _claims(self, pod: dict) -> int:
        """Return what lies on the pod's claims: here they are on the node's own disk."""
        sources, total = self.around.sources(pod, self.around.runtime.inspect(objects.uid(pod))), 0
        for volume in pod["spec"].get("volumes") or []:
            if "persistentVolumeClaim" in volume or "ephemeral" in volume:
                with suppress(ConfigError, ApiError):
                    total += on_disk(claim.directory(pod, volume, sources))
        return total


def patience(host: node_status.Host) -> float:
    """Return for how many seconds a node cannot become short of anything: pure."""
    left = (
        available - least for least, available in (node_status.threshold(host, each) for each in ("memory", STORAGE))
    )
    return max(SHORTEST, min(LONGEST, min(left) / FASTEST))


def has_storage_limits(pod: dict) -> bool:
    """Tell whether a pod sets a limit to what it may write."""
    limited = (each for each in pods.every_container(pod) if STORAGE in amounts(each, "limits"))
    return any(True for _ in limited) or any(limit for limit in _empty_directories(pod).values())


def exceeded(pod: dict, volumes: dict[str, int], containers: dict[str, int]) -> str | None:
    """Return which of its own limits a pod exceeds, in upstream's words: pure."""
    for name, limit in _empty_directories(pod).items():
        if limit and volumes.get(name, 0) > quantity.bytes_of(limit):
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
    limits = {each["name"]: amounts(each, "limits").get(STORAGE) for each in pods.containers(pod)}
    if all(limits.values()):
        total = sum(quantity.bytes_of(limit) for limit in limits.values() if limit)
        if sum(volumes.values()) + sum(containers.values()) > total:
            return f"Pod ephemeral local storage usage exceeds the total limit of containers {_text(total)}. "
    for name, limit in limits.items():
        if limit and containers.get(name, 0) > quantity.bytes_of(limit):
            return f'Container {name} exceeded its local ephemeral storage limit "{limit}". '
    return None


def rank(uses: list[Use], resource: str) -> list[Use]:
    """Order pods by who goes first: pure."""

    def key(use: Use) -> tuple[bool, int, int]:
        asked = sum(quantity.bytes_of(amounts(each, "requests").get(resource, 0)) for each in pods.containers(use.pod))
        return use.total <= asked, use.pod["spec"].get("priority") or 0, asked - use.total

    return sorted(uses, key=key)


def pressure(use: Use, resource: str, threshold: int, available: int) -> str:
    """Return why a pod is evicted from a node that runs short: pure."""
    words = [f"The node was low on resource: {resource}. "]
    words.append(f"Threshold quantity: {_text(threshold)}, available: {_text(available)}. ")
    for each in pods.containers(use.pod):
        name, asked = each["name"], amounts(each, "requests").get(resource, "0")
        used = use.containers.get(name, 0)
        if used > quantity.bytes_of(asked):
            told = f"Container {name} was using {_text(used)}, request is {asked}"
            words.append(f"{told}, has larger consumption of {resource}. ")
    return "".join(words)


def _empty_directories(pod: dict) -> dict[str, str | None]:
    """Return the pod's emptyDirs on disk, each with its limit."""
    every = {each["name"]: each["emptyDir"] for each in pod["spec"].get("volumes") or [] if "emptyDir" in each}
    return {name: found.get("sizeLimit") for name, found in every.items() if found.get("medium") != "Memory"}


def _text(size: int) -> str:
    return quantity.canonical(f"{-(-size // 1024)}Ki")
