"""Pods of one kind spread over nodes, zones or whatever a topology key names.

The skew of a domain is how many more matching pods it holds than the emptiest. DoNotSchedule bounds it; ScheduleAnyway,
and a pod of a controller that says nothing, only prefer the emptier domains.

Upstream: pkg/scheduler/framework/plugins/podtopologyspread
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.glassbox import node_selector, objects
from labkit.glassbox.scheduler.cycle import Cycle
from labkit.glassbox.scheduler.nodes import NodeInfo
from labkit.glassbox.scheduler.reasons import Reason
from labkit.glassbox.selectors import from_label_selector, with_own_labels
from labkit.glassbox.taints import untolerated

MISMATCH = "node(s) didn't match pod topology spread constraints"
BY_DEFAULT = (("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5))  # key, maxSkew


@dataclass(frozen=True)
class Constraint:
    """One topologySpreadConstraint, and how many matching pods each domain holds."""

    key: str
    max_skew: int
    min_domains: int
    itself: int  # 1 if the pod matches its own selector
    counts: Counter[str]

    @property
    def least(self) -> int:
        """How many pods the emptiest domain holds; 0 while there are fewer domains than wanted."""
        return 0 if len(self.counts) < self.min_domains else min(self.counts.values(), default=0)


def required(cycle: Cycle) -> list[Constraint]:
    return _constraints(cycle, "DoNotSchedule")


def preferred(cycle: Cycle) -> list[Constraint]:
    """Return what the pod would like: its own constraints, or those of every pod that a controller made."""
    if cycle.pod["spec"].get("topologySpreadConstraints"):
        return _constraints(cycle, "ScheduleAnyway")
    owner = objects.controller_of(cycle.pod)
    if owner is None:
        return []
    infos = [info for info in cycle.nodes.values() if info.node]

    def matches(pod: dict) -> bool:
        return (objects.controller_of(pod) or {}).get("uid") == owner["uid"]

    return [Constraint(key, skew, 1, 1, _count(key, infos, matches, cycle)) for key, skew in BY_DEFAULT]


def _constraints(cycle: Cycle, when: str) -> list[Constraint]:
    given = cycle.pod["spec"].get("topologySpreadConstraints") or []
    mine = [each for each in given if each["whenUnsatisfiable"] == when]
    keys = [each["topologyKey"] for each in mine]
    return [_constraint(cycle, each, keys) for each in mine]


def _constraint(cycle: Cycle, given: dict, keys: list[str]) -> Constraint:
    pod = cycle.pod
    labels = objects.labels(pod)
    selector = from_label_selector(with_own_labels(given, labels))
    infos = [info for info in cycle.nodes.values() if _counts_for(pod, given, keys, info)]
    counts = _count(given["topologyKey"], infos, lambda each: selector.matches(objects.labels(each)), cycle)
    itself = int(selector.matches(labels))
    return Constraint(given["topologyKey"], given["maxSkew"], given.get("minDomains") or 1, itself, counts)


def _counts_for(pod: dict, given: dict, keys: list[str], info: NodeInfo) -> bool:
    """Tell whether a node takes part: it has every key, and by the constraint's policies the pod could be there."""
    if not info.node or not all(key in info.labels for key in keys):
        return False
    if given.get("nodeAffinityPolicy", "Honor") == "Honor" and not node_selector.accepts(pod, info.node):
        return False
    return given.get("nodeTaintsPolicy", "Ignore") == "Ignore" or not untolerated(pod, info.node)


def _count(key: str, infos: list[NodeInfo], matches: Callable[[dict], bool], cycle: Cycle) -> Counter[str]:
    counts: Counter[str] = Counter()
    namespace = objects.namespace(cycle.pod)
    for info in infos:
        if key in info.labels:
            mine = (pod for pod in info.pods.values() if objects.namespace(pod) == namespace)
            counts[info.labels[key]] += sum(not objects.is_deleting(pod) and matches(pod) for pod in mine)
    return counts


def topology_spread(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    for constraint in cycle.once(required):
        domain = info.labels.get(constraint.key)
        if domain is None:
            yield Reason(f"{MISMATCH} (missing required label)")
            return
        if constraint.counts[domain] + constraint.itself - constraint.least > constraint.max_skew:
            yield Reason(MISMATCH, resolvable=True)
            return


def crowding(cycle: Cycle, info: NodeInfo) -> float:
    """Less is better: matching pods near by, those in one of many domains weighing more."""
    shared = [each for each in cycle.once(preferred) if each.key in info.labels]
    return sum(
        each.counts[info.labels[each.key]] * math.log(len(each.counts) + 2) + each.max_skew - 1 for each in shared
    )
