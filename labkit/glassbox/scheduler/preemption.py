"""Room for a pod by taking less important ones away.

Pure. On each node that would fit without the pods of lower priority, as few of them as possible are victims: all are
taken away, then those that still fit are put back, the most important first. The node where the victims matter least is
chosen.

Upstream: pkg/scheduler/framework/preemption, …/plugins/defaultpreemption
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labkit.glassbox import clock, objects
from labkit.glassbox.scheduler.cycle import Cycle
from labkit.glassbox.scheduler.filters import why_not
from labkit.glassbox.scheduler.nodes import NodeInfo, priority
from labkit.glassbox.scheduler.reasons import Reason
from labkit.glassbox.selectors import from_label_selector

NO_VICTIMS = Reason("No preemption victims found for incoming pod")
NOT_HELPFUL = Reason("Preemption is not helpful for scheduling")


@dataclass(frozen=True)
class Candidate:
    """A node, and which pods would have to leave it."""

    node: str
    victims: tuple[dict, ...]  # the most important first
    violations: int  # victims that a disruption budget protects


def not_eligible(pod: dict, nodes: Mapping[str, NodeInfo]) -> str:
    """Return why the pod may take nobody's place; "" if it may."""
    if pod["spec"].get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = nodes.get((pod.get("status") or {}).get("nominatedNodeName", ""))
    leaving = nominated.pods.values() if nominated else ()
    if any(objects.is_deleting(each) and priority(each) < priority(pod) for each in leaving):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def victims_on(cycle: Cycle, info: NodeInfo, budgets: Iterable[dict]) -> Candidate | list[Reason]:
    """Return which pods would have to leave a node, or why that would not help."""
    lower = [pod for pod in info.pods.values() if priority(pod) < priority(cycle.pod)]
    if not lower:
        return [NO_VICTIMS]
    emptied = info.without(lower)
    if reasons := why_not(cycle.with_node(emptied), emptied):
        return reasons
    protected = _protected(lower, budgets)
    victims: list[dict] = []
    for pod in sorted(lower, key=lambda each: (objects.uid(each) not in protected, *_importance(each))):
        fuller = emptied.also_with([pod])
        if why_not(cycle.with_node(fuller), fuller):
            victims.append(pod)
        else:
            emptied = fuller
    victims.sort(key=_importance)
    return Candidate(info.name, tuple(victims), sum(objects.uid(each) in protected for each in victims))


def _importance(pod: dict) -> tuple[int, str]:
    """Sort the more important first: by priority, then who began earlier."""
    return -priority(pod), (pod.get("status") or {}).get("startTime", "~")


def _protected(pods: list[dict], budgets: Iterable[dict]) -> set[str]:
    """Return the uids of the pods whose loss a disruption budget does not allow."""
    found: set[str] = set()
    for budget in budgets:
        selector = from_label_selector(budget["spec"].get("selector"))
        covered = [
            pod
            for pod in pods
            if objects.namespace(pod) == objects.namespace(budget) and selector.matches(objects.labels(pod))
        ]
        allowed = (budget.get("status") or {}).get("disruptionsAllowed", 0)
        found |= {objects.uid(pod) for pod in sorted(covered, key=_importance)[allowed:]}
    return found


def choose(candidates: Iterable[Candidate]) -> Candidate:
    """Return the candidate whose victims matter least."""
    return min(candidates, key=_cost)


def _cost(candidate: Candidate) -> tuple:
    victims = candidate.victims
    first = victims[0] if victims else {"spec": {}}
    began = (first.get("status") or {}).get("startTime")
    return (
        candidate.violations,
        priority(first),
        sum(priority(each) for each in victims),
        len(victims),
        -clock.parse(began) if began else 0.0,  # the shorter it has run, the less is lost
    )


def preempt(
    cycle: Cycle, against: Mapping[str, list[Reason]], budgets: Iterable[dict]
) -> Candidate | list[list[Reason]]:
    """Return the place to make, or for each node why none can be made there."""
    budgets = list(budgets)
    hopeless = {name for name, reasons in against.items() if not all(reason.resolvable for reason in reasons)}
    tried = {
        name: [NOT_HELPFUL] if name in hopeless else victims_on(cycle, cycle.nodes[name], budgets) for name in against
    }
    candidates = [each for each in tried.values() if isinstance(each, Candidate)]
    if candidates:
        return choose(candidates)
    return [each for each in tried.values() if isinstance(each, list)]
