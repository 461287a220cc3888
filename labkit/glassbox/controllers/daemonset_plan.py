"""Which pods of a daemon set to make and to delete, and what its status says: pure functions over dicts.

First each node gets its one pod and loses what is too much; then, if the strategy is RollingUpdate, old pods give way
to new ones on so many nodes at a time:

    maxUnavailable  the old pod is deleted first, the node is without one meanwhile
    maxSurge        the new pod is started beside the old one, which is deleted once the new one is available

Upstream: pkg/controller/daemon/daemon_controller.go (podsShouldBeOnNode), update.go (rollingUpdate)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.daemonset_pods import belongs, node_of
from labkit.glassbox.controllers.history import POD_LABEL
from labkit.glassbox.controllers.rollout import share

Step = tuple[list[str], list[dict]]  # nodes to make a pod for, pods to delete


@dataclass(frozen=True)
class Place:
    """A node, whether a pod shall be started and may stay there, and the pods that are, the oldest first."""

    node: str
    shall_run: bool
    may_stay: bool
    pods: list[dict]


@dataclass(frozen=True)
class Sight:
    """What a round looks at: the set, its places, the hash of its template, the time."""

    ds: dict
    places: list[Place]
    digest: str
    now: float

    def is_available(self, pod: dict) -> bool:
        return podutil.is_available(pod, podutil.min_ready(self.ds), self.now)

    def new_and_old(self, pods: list[dict]) -> tuple[dict | None, dict | None]:
        """Return the oldest pod of the set's template, and of an earlier one."""
        new = next((pod for pod in pods if self.is_new(pod)), None)
        return new, next((pod for pod in pods if not self.is_new(pod)), None)

    def is_new(self, pod: dict) -> bool:
        return objects.labels(pod).get(POD_LABEL) == self.digest


def places(ds: dict, nodes: list[dict], pods: list[dict]) -> list[Place]:
    on: dict[str, list[dict]] = {}
    for pod in sorted(pods, key=lambda pod: (not pod["spec"].get("nodeName"), pod["metadata"]["creationTimestamp"])):
        if podutil.has_not_ended(pod) or not objects.is_deleting(pod):
            on.setdefault(node_of(pod), []).append(pod)
    return [Place(objects.name(node), *belongs(ds, node), on.get(objects.name(node), [])) for node in nodes]


def plan(sight: Sight, pods: list[dict]) -> Step:
    """Return what the nodes lack and have too much of; an ended pod is deleted, and replaced when it has gone."""
    surge, make, delete = bounds(sight)[0], [], []
    for place in sight.places:
        staying = [pod for pod in place.pods if not objects.is_deleting(pod)]
        alive = [pod for pod in staying if place.may_stay and podutil.has_not_ended(pod)]
        if place.shall_run and not (alive if surge else place.pods):
            make.append(place.node)
        kept = beside_one_another(sight, alive) if surge else alive[:1]
        delete += [pod for pod in staying if pod not in kept]
    known = {place.node for place in sight.places}
    return make, delete + [pod for pod in pods if not pod["spec"].get("nodeName") and node_of(pod) not in known]


def beside_one_another(sight: Sight, alive: list[dict]) -> list[dict]:
    """Return the pods that may be on one node in a surge: the old one as long as it alone is of use."""
    new, old = sight.new_and_old(alive)
    if new and old and (sight.is_available(new) or not objects.is_true(old, "Ready")):
        return [new]
    return [pod for pod in (new, old) if pod]


def bounds(sight: Sight) -> tuple[int, int]:
    """Return (surge, unavailable) in nodes, both rounded up, never both 0."""
    strategy, wanted = sight.ds["spec"].get("updateStrategy") or {}, sum(place.shall_run for place in sight.places)
    rolling = strategy.get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge", 0), wanted, math.ceil)
    unavailable = share(rolling.get("maxUnavailable", 1), wanted, math.ceil)
    return surge, unavailable if surge or unavailable else 1


def roll(sight: Sight) -> Step:
    """Return the next step of a rolling update, for a round in which every node has what it shall have.

    An old pod that is not available is replaced at once, the others as far as the bound allows.
    """
    surge, unavailable = bounds(sight)
    busy, broken, candidates = 0, list[tuple[str, dict]](), list[tuple[str, dict]]()
    for place in sight.places:
        new, old = sight.new_and_old([pod for pod in place.pods if not objects.is_deleting(pod)])
        if old and not new:
            (candidates if sight.is_available(old) else broken).append((place.node, old))
        elif old if surge else place.pods and not (new and sight.is_available(new)):
            busy += 1
    chosen = broken + candidates[: max(0, (surge or unavailable) - busy)]
    return ([node for node, _ in chosen], []) if surge else ([], [old for _, old in chosen])


def status_of(sight: Sight, collisions: int) -> dict:
    """Return the status: a node is counted by its oldest pod."""
    wanted = [place for place in sight.places if place.shall_run]
    first = [place.pods[0] for place in wanted if place.pods]
    available = sum(map(sight.is_available, first))
    counts = {
        "updatedNumberScheduled": sum(map(sight.is_new, first)),
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
        "collisionCount": collisions,
    }
    return {
        "currentNumberScheduled": len(first),
        "numberMisscheduled": sum(bool(place.pods) and not place.shall_run for place in sight.places),
        "desiredNumberScheduled": len(wanted),
        "numberReady": sum(objects.is_true(pod, "Ready") for pod in first),
        "observedGeneration": sight.ds["metadata"].get("generation", 0),
        **{key: count for key, count in counts.items() if count},
    }
