"""Pods that want to be near other pods, or far from them: inter-pod affinity.

Near means in one topology domain: on nodes with the same value of the term's topologyKey. The required terms decide
where a pod may be, in both directions for anti-affinity: a pod that is there already may not want the new one. The
preferred ones give a node points.

Upstream: pkg/scheduler/framework/plugins/interpodaffinity
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.scheduler.cycle import Cycle
from labkit.glassbox.scheduler.nodes import NodeInfo, has_pod_affinity
from labkit.glassbox.scheduler.reasons import Reason
from labkit.glassbox.selectors import Selector, from_label_selector, with_own_labels

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
HARD_WEIGHT = 1  # points for a pod whose required affinity the new one meets
Domain = tuple[str, str]  # topology key, value


@dataclass(frozen=True)
class Term:
    """An affinity term of one pod, ready to be asked."""

    topology_key: str
    selector: Selector
    namespaces: frozenset[str]
    namespace_selector: Selector | None
    weight: int = 0

    def matches(self, pod: dict, cycle: Cycle) -> bool:
        """Tell whether the term means that pod."""
        namespace = objects.namespace(pod)
        if namespace not in self.namespaces:
            labels = objects.labels(cycle.namespaces.get(namespace) or {"metadata": {}})
            if self.namespace_selector is None or not self.namespace_selector.matches(labels):
                return False
        return self.selector.matches(objects.labels(pod))

    def domain(self, info: NodeInfo) -> Domain | None:
        value = info.labels.get(self.topology_key)
        return None if value is None else (self.topology_key, value)


def terms(pod: dict, kind: str, need: str) -> list[Term]:
    """Return a pod's terms of podAffinity or podAntiAffinity, required or preferred."""
    given = ((pod["spec"].get("affinity") or {}).get(kind) or {}).get(need) or []
    if need == REQUIRED:
        return [_term(pod, each) for each in given]
    return [_term(pod, each["podAffinityTerm"], each["weight"]) for each in given]


def _term(pod: dict, given: dict, weight: int = 0) -> Term:
    among = given.get("namespaceSelector")
    named = given.get("namespaces") or ([objects.namespace(pod)] if among is None else [])
    selector = from_label_selector(with_own_labels(given, objects.labels(pod)))
    return Term(
        given["topologyKey"],
        selector,
        frozenset(named),
        None if among is None else from_label_selector(among),
        weight,
    )


@dataclass(frozen=True)
class Required:
    """What the required terms come to: in which domains how many pods match."""

    affinity: list[Term]
    anti: list[Term]
    matching: Counter[Domain]  # pods that all affinity terms mean
    unwanted: Counter[Domain]  # pods that an anti-affinity term means
    unwelcome: Counter[Domain]  # pods that do not want this one


def required(cycle: Cycle) -> Required:
    """Look at every pod that matters once."""
    pod = cycle.pod
    found = Required(
        terms(pod, "podAffinity", REQUIRED), terms(pod, "podAntiAffinity", REQUIRED), Counter(), Counter(), Counter()
    )
    for info, other in _pods(cycle):
        if found.affinity and all(term.matches(other, cycle) for term in found.affinity):
            found.matching.update(filter(None, (term.domain(info) for term in found.affinity)))
        near = (term.domain(info) for term in found.anti if term.matches(other, cycle))
        found.unwanted.update(filter(None, near))
        theirs = terms(other, "podAntiAffinity", REQUIRED)
        found.unwelcome.update(filter(None, (term.domain(info) for term in theirs if term.matches(pod, cycle))))
    return found


def _pods(cycle: Cycle) -> Iterator[tuple[NodeInfo, dict]]:
    """Give the pods that matter: all to a pod that cares who is near it, to another those that care themselves."""
    everybody = has_pod_affinity(cycle.pod)
    for info in cycle.nodes.values():
        for pod in (info.pods if everybody else info.with_affinity).values():
            yield info, pod


def inter_pod_affinity(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    wants = cycle.once(required)
    if not _near_enough(cycle, wants, info):
        yield Reason("node(s) didn't match pod affinity rules")
    elif any(wants.unwanted[domain] for term in wants.anti if (domain := term.domain(info))):
        yield Reason("node(s) didn't match pod anti-affinity rules", resolvable=True)
    elif any(info.labels.get(key) == value for key, value in wants.unwelcome):
        yield Reason("node(s) didn't satisfy existing pods anti-affinity rules", resolvable=True)


def _near_enough(cycle: Cycle, wants: Required, info: NodeInfo) -> bool:
    domains = [term.domain(info) for term in wants.affinity]
    if None in domains:
        return False
    if all(wants.matching[domain] for domain in domains if domain):
        return True
    # The first of a group that wants to be together has nobody to be near to.
    return not wants.matching and all(term.matches(cycle.pod, cycle) for term in wants.affinity)


def preferred(cycle: Cycle) -> Counter[Domain]:
    """Return the points of each domain, by the wishes of the pod and of the pods that are there."""
    pod, points = cycle.pod, Counter[Domain]()
    mine = [(term, sign) for term, sign in _wishes(pod) if term.weight]
    for info, other in _pods(cycle):
        theirs = [(term, sign) for term, sign in _wishes(other) if term.matches(pod, cycle)]
        for term, sign in [*[each for each in mine if each[0].matches(other, cycle)], *theirs]:
            if domain := term.domain(info):
                points[domain] += sign * (term.weight or HARD_WEIGHT)
    return points


def _wishes(pod: dict) -> Iterator[tuple[Term, int]]:
    yield from ((term, 1) for term in terms(pod, "podAffinity", PREFERRED))
    yield from ((term, -1) for term in terms(pod, "podAntiAffinity", PREFERRED))
    yield from ((term, 1) for term in terms(pod, "podAffinity", REQUIRED))


def neighbours(cycle: Cycle, info: NodeInfo) -> float:
    """More for a node near pods that the pod, or they, would like to be near to."""
    points = cycle.once(preferred)
    return sum(points[key, value] for key, value in info.labels.items() if (key, value) in points)
