"""How fast an autoscaler may go: windows that calm it, policies that bound it. Pure but for its memory.

    stabilization  of the recommendations in the window the most careful one is followed
    policies       how many pods, or percents, may come or go in a period
    bounds         minReplicas and maxReplicas

Upstream: pkg/controller/podautoscaler/horizontal.go (normalizeDesiredReplicasWithBehaviors)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
DOWN = {
    "stabilizationWindowSeconds": 300,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
LONGEST = 3600.0  # seconds: no window or period may be longer

READY = ("ReadyForNewScale", "recommended size matches current size")
CALMED = "recent recommendations were {0}er than current one, applying the {0}est recent recommendation"
STABILIZED = {True: ("ScaleUpStabilized", CALMED.format("low")), False: ("ScaleDownStabilized", CALMED.format("high"))}
WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")


@dataclass
class Memory:
    """What an autoscaler recommended, and by how much it changed its target: (when, replicas)."""

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    changes: list[tuple[float, int]] = field(default_factory=list)

    def forget(self, before: float) -> None:
        self.recommendations = [each for each in self.recommendations if each[0] >= before]
        self.changes = [each for each in self.changes if each[0] >= before]


def stabilize(memory: Memory, spec: dict, current: int, desired: int, now: float) -> tuple[int, tuple[str, str]]:
    """Return the recommendation to follow and why, and remember this one."""
    growing = desired >= current
    window = rules(spec, growing)["stabilizationWindowSeconds"]
    recent = [count for when, count in memory.recommendations if when > now - window]
    memory.forget(now - LONGEST)
    memory.recommendations.append((now, desired))
    followed = (min if growing else max)([desired, *recent])
    return followed, READY if followed == desired else STABILIZED[growing]


def limit(memory: Memory, spec: dict, current: int, desired: int, now: float) -> tuple[int, tuple[str, str]]:
    """Return how many replicas the policies and the bounds allow, and which of them bounds."""
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    if desired > current:
        fastest = max(current, reach(memory, spec, current, True, now))
        allowed, why = (fastest, UP_LIMIT) if most > fastest else (most, TOO_MANY)
        return (allowed, why) if desired > allowed else (desired, WITHIN)
    if desired < current:
        fastest = min(current, reach(memory, spec, current, False, now))
        allowed, why = (fastest, DOWN_LIMIT) if least < fastest else (least, TOO_FEW)
        return (allowed, why) if desired < allowed else (desired, WITHIN)
    return desired, WITHIN


def reach(memory: Memory, spec: dict, current: int, growing: bool, now: float) -> int:
    """Return how far the policies let the target go in that direction."""
    if growing and not spec.get("behavior"):
        return max(2 * current, 4)
    how, sign, limits = rules(spec, growing), 1 if growing else -1, []
    if how["selectPolicy"] == "Disabled":
        return current
    for policy in how["policies"]:
        before = current - changed(memory, policy, now)
        if policy["type"] == "Pods":
            limits.append(before + sign * policy["value"])
        else:
            limits.append((math.ceil if growing else int)(before * (1 + sign * policy["value"] / 100)))
    return (max if (how["selectPolicy"] != "Min") == growing else min)(limits)


def changed(memory: Memory, policy: dict, now: float) -> int:
    """Return by how much the target has grown in the policy's period."""
    return sum(change for when, change in memory.changes if when > now - policy["periodSeconds"])


def rules(spec: dict, growing: bool) -> dict:
    default, name = (UP, "scaleUp") if growing else (DOWN, "scaleDown")
    return {**default, **((spec.get("behavior") or {}).get(name) or {})}
