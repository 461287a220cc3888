"""From the filters' and scores' verdicts to one node, or to upstream's sentence on why there is none. Pure.

Upstream: pkg/scheduler/schedule_one.go (findNodesThatFitPod, prioritizeNodes), …/framework/types.go (FitError)
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.glassbox.scheduler import volumes
from labkit.glassbox.scheduler.cycle import Cycle
from labkit.glassbox.scheduler.filters import unimplemented, why_not
from labkit.glassbox.scheduler.reasons import Reason
from labkit.glassbox.scheduler.scores import totals


@dataclass(frozen=True)
class Choice:
    """What was found for a pod: a node, or why there is none."""

    node: str = ""
    binding: volumes.Binding = volumes.Binding()
    why: str = ""  # that keeps the pod from every node
    against: Mapping[str, list[Reason]] = field(default_factory=dict)  # by node


def best(cycle: Cycle, lots: random.Random) -> Choice:
    """Return the best of the nodes for a pod, or why none fits. Equals draw lots, so that they fill evenly."""
    if missing := unimplemented(cycle.pod):
        return Choice(why=f"{', '.join(missing)}: not implemented by this scheduler")
    if cycle.nodes and (why := volumes.impossible(cycle)):
        return Choice(why=why, against={name: [Reason(why)] for name in cycle.nodes})
    against = {name: why_not(cycle, info) for name, info in cycle.nodes.items()}
    fitting = [cycle.nodes[name] for name, reasons in against.items() if not reasons]
    if not fitting:
        return Choice(against=against)
    points = totals(cycle, fitting)
    _, _, info = max((round(each), lots.random(), info.name) for each, info in zip(points, fitting, strict=True))
    binding = volumes.plan_binding(cycle, cycle.nodes[info])
    assert isinstance(binding, volumes.Binding)  # it passed the filter
    return Choice(info, binding)


def explain(choice: Choice, preemption: str = "") -> str:
    """Return upstream's sentence for nodes none of which fits, and what came of trying to make room."""
    if not choice.against:
        return choice.why or "no nodes available to schedule pods"
    total = len(choice.against)
    told = f"0/{total} nodes are available: {choice.why}." if choice.why else f"{sentence([*choice.against.values()])}."
    return f"{told} no new claims to deallocate, preemption: {preemption}" if preemption else told


def sentence(against: list[list[Reason]]) -> str:
    """Count the reasons, as in "0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods"."""
    why = Counter(reason.text for reasons in against for reason in reasons)
    told = ", ".join(sorted(f"{count} {text}" for text, count in why.items()))
    return f"0/{len(against)} nodes are available: {told}"
