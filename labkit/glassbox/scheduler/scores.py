"""Which of the nodes that fit is best: each score gives 0 to 100, the sum with its weight decides.

Upstream: pkg/scheduler/framework/plugins/{noderesources,nodeaffinity,tainttoleration,podtopologyspread}
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.glassbox import objects
from labkit.glassbox.node_selector import matches_term
from labkit.glassbox.scheduler.nodes import NodeInfo, requests
from labkit.glassbox.taints import is_tolerated

RESOURCES = ("cpu", "memory")


def fractions(pod: dict, info: NodeInfo) -> list[float]:
    """Return which share of each resource would be asked for with the pod there."""
    asked = requests(pod, defaults=True)
    shares = [(info.scored[name] + asked[name]) / (info.allocatable(name) or 1) for name in RESOURCES]
    return [min(1.0, share) for share in shares]


def least_allocated(pod: dict, info: NodeInfo) -> float:
    """More for an emptier node."""
    shares = fractions(pod, info)
    return 100 * sum(1 - share for share in shares) / len(shares)


def balanced_allocation(pod: dict, info: NodeInfo) -> float:
    """More where cpu and memory would be used alike: 1 minus the standard deviation of the shares."""
    first, second = fractions(pod, info)
    return 100 * (1 - abs(first - second) / 2)


def preferred_affinity(pod: dict, info: NodeInfo) -> float:
    """More for a node that the pod prefers, by the weights of its terms."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    terms = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    total = sum(each["weight"] for each in terms)
    labels, name = objects.labels(info.node), objects.name(info.node)
    met = sum(each["weight"] for each in terms if matches_term(each["preference"], labels, name))
    return 100 * met / total if total else 0


def untainted(pod: dict, info: NodeInfo) -> float:
    """Less for a node with PreferNoSchedule taints that the pod does not tolerate."""
    soft = [taint for taint in info.node["spec"].get("taints") or [] if taint["effect"] == "PreferNoSchedule"]
    return 100 / (1 + sum(not is_tolerated(pod, taint) for taint in soft))


def spread(pod: dict, info: NodeInfo) -> float:
    """More for a node with fewer pods of the same controller, as the default topology spread would have it."""
    owner = objects.controller_of(pod)
    if owner is None:
        return 0
    same = [each for each in info.pods.values() if (objects.controller_of(each) or {}).get("uid") == owner["uid"]]
    return 100 / (1 + len(same))


SCORES: tuple[tuple[Callable[[dict, NodeInfo], float], int], ...] = (
    (least_allocated, 1),
    (balanced_allocation, 1),
    (preferred_affinity, 2),
    (untainted, 3),
    (spread, 2),
)


def score(pod: dict, info: NodeInfo) -> float:
    return sum(weight * each(pod, info) for each, weight in SCORES)
