"""How many replicas bring a resource's use to its target: pure functions.

    ratio     how much is used, as a share of the target
    replicas  the pods that were measured, times the ratio, rounded up

Within the tolerance nothing changes. A pod without a measurement counts as would least favour the change: as using
nothing when more replicas are wanted, as using all that it asks for when fewer are. A pod that is only starting counts
as using nothing when more are wanted, and else not at all.

Upstream: pkg/controller/podautoscaler/replica_calculator.go, metrics/utilization.go
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from labkit.glassbox import clock, cron, objects, quantity
from labkit.glassbox.controllers import pods as podutil

TOLERANCE = 0.1
INITIALIZATION = 300.0  # seconds after its start in which a pod's CPU says little
INITIAL_READINESS = 30.0  # seconds in which a pod is expected to be ready first


class NoMetric(Exception):
    """A metric cannot be had, or says nothing of these pods."""


@dataclass(frozen=True)
class Reading:
    """What one pod used: thousandths of a core or byte, measured over a window that ended at a time."""

    value: int
    at: float = 0.0
    window: float = 0.0


@dataclass(frozen=True)
class Target:
    """What each pod should use on average: thousandths, or percents of what it asks for; and what is close enough."""

    value: int | None = None
    percent: int | None = None
    below: float = TOLERANCE
    above: float = TOLERANCE

    def is_met(self, ratio: float) -> bool:
        return 1 - self.below <= ratio <= 1 + self.above


@dataclass(frozen=True)
class Use:
    """How much is used: as a share of the target, on average, in percents of what is asked for."""

    ratio: float
    average: int
    percent: int | None = None


@dataclass(frozen=True)
class Question:
    """Of which resource, of which container ("" for all), and what the target is."""

    resource: str
    container: str
    target: Target


def replicas(
    current: int, pods: list[dict], readings: dict[str, Reading], asked_for: Question, now: float
) -> tuple[int, Use]:
    """Return how many replicas are wanted, and what is used now. Raises NoMetric."""
    target = asked_for.target
    if not pods:
        raise NoMetric("no pods returned by selector while calculating replica count")
    kinds = {objects.name(pod): kind_of(pod, readings, asked_for.resource, now) for pod in pods}
    values = {name: readings[name].value for name, kind in kinds.items() if kind == "ready"}
    if not values:
        raise NoMetric("did not receive metrics for targeted pods (pods might be unready)")
    asked = {objects.name(pod): request(pod, asked_for) for pod in pods} if target.percent is not None else {}
    use = measure(values, asked, target)
    missing = [name for name, kind in kinds.items() if kind == "missing"]
    starting = [name for name, kind in kinds.items() if kind == "unready" and use.ratio > 1]
    if not starting and not missing:
        return current if target.is_met(use.ratio) else math.ceil(use.ratio * len(values)), use
    guesses = {name: guess(name, asked, target) if use.ratio < 1 else 0 for name in missing}
    values |= {**(guesses if use.ratio != 1 else {}), **dict.fromkeys(starting, 0)}
    ratio = measure(values, asked, target).ratio
    if target.is_met(ratio) or (use.ratio < 1 < ratio) or (ratio < 1 < use.ratio):
        return current, use
    wanted = math.ceil(ratio * len(values))
    if (ratio < 1 and wanted > current) or (ratio > 1 and wanted < current):
        return current, use
    return wanted, use


def guess(name: str, asked: dict[str, int], target: Target) -> int:
    return target.value if target.value is not None else asked[name] * max(100, target.percent or 0) // 100


def measure(values: dict[str, int], asked: dict[str, int], target: Target) -> Use:
    total = sum(values.values())
    average = total // len(values)
    if target.value is not None:
        return Use(average / target.value, average)
    wanted = sum(asked.get(name, 0) for name in values)
    if not wanted:
        raise NoMetric("no metrics returned matched known pods")
    percent = total * 100 // wanted
    return Use(percent / (target.percent or 1), average, percent)


def kind_of(pod: dict, readings: dict[str, Reading], resource: str, now: float) -> str:
    """Return what a pod's measurement is worth: ready, unready or missing; "" for one that goes or has failed."""
    name, phase = objects.name(pod), podutil.phase(pod)
    if objects.is_deleting(pod) or phase == "Failed":
        return ""
    if phase == "Pending":
        return "unready"
    if name not in readings:
        return "missing"
    return "unready" if resource == "cpu" and is_starting(pod, readings[name], now) else "ready"


def is_starting(pod: dict, reading: Reading, now: float) -> bool:
    """Tell whether what the pod used is what starting takes, and not what serving does."""
    ready, began = objects.condition(pod, "Ready"), pod["status"].get("startTime")
    if ready is None or not began:
        return True
    start, since, unready = clock.parse(began), clock.parse(ready["lastTransitionTime"]), ready["status"] == "False"
    if start + INITIALIZATION > now:
        return unready or reading.at < since + reading.window
    return unready and start + INITIAL_READINESS > since  # it has never been ready


def request(pod: dict, asked_for: Question) -> int:
    """Return what the pod, or its container of that name, asks for, in thousandths. Raises NoMetric."""
    total = 0
    sidecars = [each for each in pod["spec"].get("initContainers") or [] if each.get("restartPolicy") == "Always"]
    for each in [*pod["spec"]["containers"], *sidecars]:
        if asked_for.container not in ("", each["name"]):
            continue
        asked = ((each.get("resources") or {}).get("requests") or {}).get(asked_for.resource)
        if asked is None:
            where = f"container {each['name']} of Pod {objects.name(pod)}"
            raise NoMetric(f"missing request for {asked_for.resource} in {where}")
        total += quantity.millicores(asked)
    return total


def readings_of(metrics: list[dict], resource: str, container: str) -> dict[str, Reading]:
    """Return what each pod used, all its containers or one, as the resource metrics API tells. Raises NoMetric."""
    found = {}
    for pod in metrics:
        used = {each["name"]: each["usage"].get(resource) for each in pod["containers"]}
        if container and container not in used:
            raise NoMetric(f"container {container} not present in metrics for pod {objects.key(pod)}")
        values = [used[container]] if container else list(used.values())
        if None not in values:
            total = sum(quantity.parse(value) * 1000 for value in values)
            at, window = clock.parse(pod["timestamp"]), cron.seconds(pod["window"])
            found[objects.name(pod)] = Reading(math.ceil(total), at, window)
    return found
