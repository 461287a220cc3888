"""What the live view shows, read from API objects by pure functions: pods by node, what can be scaled, latest events.

The words are those of kubectl's columns STATUS, READY and REASON. A pod's look is one of five, each with a mark of its
own, so that nothing is said by colour alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from labkit.api import Object
from labkit.draw.owners import is_ready, owners_of
from labkit.widgets.feed import Snapshot

SCALABLE = ("deployments", "statefulsets", "replicasets", "replicationcontrollers")
LATEST = 6  # events shown
NO_NODE = "no node yet"


class Look(Enum):
    """How a pod stands; the value is its mark."""

    READY = "✓"
    STARTING = "◐"
    FAILING = "✗"
    DONE = "■"
    ENDING = "↓"


@dataclass(frozen=True)
class PodTile:
    """One pod as the view shows it."""

    uid: str
    name: str
    node: str
    look: Look
    status: str
    ip: str
    restarts: int

    @property
    def sentence(self) -> str:
        """Say all that is known of it."""
        restarts = f"{self.restarts} restart{'s' * (self.restarts != 1)}"
        return " · ".join([f"pod {self.name}", self.status, self.node, self.ip or "no address yet", restarts])


@dataclass(frozen=True)
class Workload:
    """One object that keeps a number of pods."""

    resource: str
    kind: str
    name: str
    wanted: int
    ready: int


@dataclass(frozen=True)
class Scene:
    """The whole view: nodes with their pods, workloads, events (newest first), and a line that sums it up."""

    nodes: tuple[tuple[str, tuple[PodTile, ...]], ...]
    workloads: tuple[Workload, ...]
    events: tuple[str, ...]
    headline: str


def scene_of(snapshot: Snapshot) -> Scene:
    """Read a snapshot; nodes without pods are shown too, where one may list nodes."""
    tiles = sorted((tile_of(pod) for pod in snapshot["pods"]), key=lambda tile: tile.name)
    names = {node["metadata"]["name"] for node in snapshot["nodes"]} | {tile.node for tile in tiles}
    order = sorted(names, key=lambda name: (name == NO_NODE, len(name), name))
    nodes = tuple((name, tuple(tile for tile in tiles if tile.node == name)) for name in order)
    roots = ((resource, each) for resource in SCALABLE for each in snapshot[resource] if not owners_of(each))
    workloads = [workload_of(*each) for each in roots]  # a Deployment's ReplicaSet is not to be scaled by hand
    ready = sum(tile.look is Look.READY for tile in tiles)
    headline = f"{len(tiles)} pod{'s' * (len(tiles) != 1)}, {ready} ready" if tiles else "no pods"
    return Scene(nodes, tuple(workloads), tuple(latest(snapshot["events"])), headline)


def tile_of(pod: Object) -> PodTile:
    """Read one pod."""
    meta, status = pod["metadata"], pod.get("status") or {}
    node = (pod.get("spec") or {}).get("nodeName") or NO_NODE
    restarts = sum(each.get("restartCount", 0) for each in status.get("containerStatuses") or [])
    word = status_of(pod)
    return PodTile(meta["uid"], meta["name"], node, look_of(pod, word), word, status.get("podIP", ""), restarts)


def status_of(pod: Object) -> str:
    """Say how a pod stands, as kubectl get pods does in its column STATUS."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    states = [each.get("state") or {} for each in status.get("containerStatuses") or []]
    reasons = [(state.get("waiting") or state.get("terminated") or {}).get("reason") for state in states]
    return next(filter(None, reasons), None) or status.get("reason") or status.get("phase") or "Unknown"


def look_of(pod: Object, word: str) -> Look:
    """Choose the mark of a pod with that status."""
    phase = (pod.get("status") or {}).get("phase")
    if word == "Terminating":
        return Look.ENDING
    if phase == "Succeeded":
        return Look.DONE
    if is_ready(pod):
        return Look.READY
    starts = word in ("Pending", "Running", "ContainerCreating", "PodInitializing")
    return Look.STARTING if starts and phase != "Failed" else Look.FAILING


def workload_of(resource: str, obj: Object) -> Workload:
    """Read one object that keeps pods."""
    ready = (obj.get("status") or {}).get("readyReplicas", 0)
    return Workload(resource, obj["kind"], obj["metadata"]["name"], obj["spec"].get("replicas", 1), ready)


def latest(events: Iterable[Object]) -> list[str]:
    """Return the newest events, newest first, a line each; those of one second in the order of their revisions."""
    newest = sorted(events, key=lambda each: (when(each)[:19], _revision(each)), reverse=True)[:LATEST]
    return [f"{when(each)[11:19]}  {about(each)}  {each.get('reason')}: {each.get('message')}" for each in newest]


def when(event: Object) -> str:
    """Return the time of an event's last occurrence, as the API writes it."""
    series = (event.get("series") or {}).get("lastObservedTime")
    return series or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]


def about(event: Object) -> str:
    """Name the object that an event is about."""
    obj = event.get("involvedObject") or {}
    return f"{obj.get('kind', '?').lower()}/{obj.get('name', '?')}"


def _revision(event: Object) -> int:
    revision = event["metadata"].get("resourceVersion", "")
    return int(revision) if revision.isdecimal() else 0
