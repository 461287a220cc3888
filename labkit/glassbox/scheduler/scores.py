"""Which of the nodes that fit is best: each score gives a node 0 to 100, the sum with its weight decides.

A score is a rating, (cycle, node) → any number, and the scale that brings all nodes' numbers to 0…100.

Upstream: pkg/scheduler/framework/plugins, …/runtime/framework.go (RunScorePlugins)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labkit.glassbox.node_selector import matches_term
from labkit.glassbox.pod_requests import requests
from labkit.glassbox.scheduler.cycle import Cycle
from labkit.glassbox.scheduler.interpod import PREFERRED, neighbours
from labkit.glassbox.scheduler.nodes import NodeInfo
from labkit.glassbox.scheduler.spread import crowding
from labkit.glassbox.taints import untolerated

RESOURCES = ("cpu", "memory")
MOST = 100.0


def fractions(cycle: Cycle, info: NodeInfo) -> list[float]:
    """Return which share of each resource would be asked for with the pod there."""
    asked = cycle.once(_requests)
    shares = [(info.scored[name] + asked[name]) / (info.allocatable(name) or 1) for name in RESOURCES]
    return [min(1.0, share) for share in shares]


def _requests(cycle: Cycle) -> dict[str, int]:
    return requests(cycle.pod, defaults=True)


def least_allocated(cycle: Cycle, info: NodeInfo) -> float:
    """More for an emptier node."""
    shares = fractions(cycle, info)
    return MOST * sum(1 - share for share in shares) / len(shares)


def balanced_allocation(cycle: Cycle, info: NodeInfo) -> float:
    """More where cpu and memory would be used alike: 1 minus the standard deviation of the shares."""
    first, second = fractions(cycle, info)
    return MOST * (1 - abs(first - second) / 2)


def preferred_affinity(cycle: Cycle, info: NodeInfo) -> float:
    """More for a node that the pod prefers, by the weights of its terms."""
    affinity = (cycle.pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    terms = affinity.get(PREFERRED) or []
    return sum(each["weight"] for each in terms if matches_term(each["preference"], info.labels, info.name))


def tainted(cycle: Cycle, info: NodeInfo) -> float:
    """The number of PreferNoSchedule taints that the pod does not tolerate."""
    return len(untolerated(cycle.pod, info.node, ("PreferNoSchedule",)))


def as_it_is(rates: list[float]) -> list[float]:
    return rates


def by_the_largest(rates: list[float]) -> list[float]:
    largest = max(rates)
    return [MOST * rate / largest if largest else 0.0 for rate in rates]


def less_is_better(rates: list[float]) -> list[float]:
    return [MOST - scaled for scaled in by_the_largest(rates)]


def lowest_best(rates: list[float]) -> list[float]:
    """All of the points to the lowest, less by how much of the largest a rate lies above it."""
    least, largest = min(rates), max(rates)
    return [MOST * (largest + least - rate) / largest if largest else MOST for rate in rates]


def by_range(rates: list[float]) -> list[float]:
    least, largest = min(rates), max(rates)
    return [MOST * (rate - least) / (largest - least) if largest > least else 0.0 for rate in rates]


@dataclass(frozen=True)
class Score:
    """One way to compare nodes."""

    rate: Callable[[Cycle, NodeInfo], float]
    scale: Callable[[list[float]], list[float]]
    weight: int


SCORES = (
    Score(least_allocated, as_it_is, 1),
    Score(balanced_allocation, as_it_is, 1),
    Score(preferred_affinity, by_the_largest, 2),
    Score(tainted, less_is_better, 3),
    Score(crowding, lowest_best, 2),
    Score(neighbours, by_range, 2),
)


def totals(cycle: Cycle, infos: list[NodeInfo]) -> list[float]:
    """Return each node's points."""
    columns = [
        [each.weight * points for points in each.scale([each.rate(cycle, info) for info in infos])] for each in SCORES
    ]
    return [sum(row) for row in zip(*columns, strict=True)]
