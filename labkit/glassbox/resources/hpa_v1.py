"""autoscaling/v1 as autoscaling/v2 and back: v1 knows the CPU alone, so all else travels in annotations.

The behaviour's annotation bears the names of Go's struct fields, as upstream's does.

Upstream: pkg/apis/autoscaling/v1/conversion.go
"""

from __future__ import annotations

import json
from typing import Any

from labkit.glassbox.resources.columns import dig
from labkit.glassbox.resources.hpa_columns import source_of

PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, CURRENT, BEHAVIOR, CONDITIONS = (
    PREFIX + name for name in ("metrics", "current-metrics", "behavior", "conditions")
)
CPU_UTILIZATION = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"
UTILIZATION_80 = {"type": "Utilization", "averageUtilization": 80}
DEFAULT_METRICS = [{"type": "Resource", "resource": {"name": "cpu", "target": UTILIZATION_80}}]

# type → (v1's name, v2's path), in v1's order; in a status "target" is "current" but for the object that is described.
_RESOURCE = (
    ("name", "name"),
    ("targetAverageUtilization", "target.averageUtilization"),
    ("targetAverageValue", "target.averageValue"),
)
_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "Resource": _RESOURCE,
    "ContainerResource": (*_RESOURCE, ("container", "container")),
    "Pods": (
        ("metricName", "metric.name"),
        ("targetAverageValue", "target.averageValue"),
        ("selector", "metric.selector"),
    ),
    "Object": (
        ("target", "describedObject"),
        ("metricName", "metric.name"),
        ("targetValue", "target.value"),
        ("selector", "metric.selector"),
        ("averageValue", "target.averageValue"),
    ),
    "External": (
        ("metricName", "metric.name"),
        ("metricSelector", "metric.selector"),
        ("targetValue", "target.value"),
        ("targetAverageValue", "target.averageValue"),
    ),
}
_TYPES = {"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}
_RULE = ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")


def names_of(kind: str, word: str) -> list[tuple[str, str]]:
    """Return the pairs of names for a metric's target, or for its current value."""

    def own(name: str) -> str:
        return name if name == "target" else name.replace("target", word)

    return [(own(old), new.replace("target.", f"{word}.")) for old, new in _NAMES.get(kind, ())]


def metric_from_v2(metric: dict, word: str) -> dict:
    kind, source = metric.get("type", ""), source_of(metric)
    found = {old: dig(source, new) for old, new in names_of(kind, word)}
    return {
        "type": kind,
        kind[:1].lower() + kind[1:]: {old: value for old, value in found.items() if value is not None},
    }


def metric_to_v2(metric: dict, word: str) -> dict:
    kind, source = metric.get("type", ""), source_of(metric)
    found: dict[str, Any] = {}
    for old, new in names_of(kind, word):
        if old in source:
            *parents, last = new.split(".")
            inner = found
            for part in parents:
                inner = inner.setdefault(part, {})
            inner[last] = source[old]
    if word == "target" and (target := found.get("target")):
        found["target"] = {"type": next(_TYPES[name] for name in _TYPES if name in target), **target}
    return {"type": kind, kind[:1].lower() + kind[1:]: found}


def is_cpu_utilization(metric: dict, word: str = "target") -> bool:
    source = metric.get("resource") or {}
    return source.get("name") == "cpu" and dig(source, f"{word}.averageUtilization") is not None


def from_v2(obj: dict) -> dict:
    """Return a stored object as autoscaling/v1 shows it."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    metrics, behavior = spec.pop("metrics", None) or [], spec.pop("behavior", None)
    current, conditions = status.pop("currentMetrics", None) or [], status.pop("conditions", None)
    cpu = [each["resource"]["target"]["averageUtilization"] for each in metrics if is_cpu_utilization(each)]
    used = [
        each["resource"]["current"]["averageUtilization"] for each in current if is_cpu_utilization(each, "current")
    ]
    told = {
        METRICS: [metric_from_v2(each, "target") for each in metrics if not is_cpu_utilization(each)],
        CURRENT: [metric_from_v2(each, "current") for each in current],
        CONDITIONS: conditions,
        BEHAVIOR: behavior and go_behavior(behavior),
    }
    notes = {name: json.dumps(value, separators=(",", ":")) for name, value in told.items() if value}
    metadata = dict(obj["metadata"])
    if notes:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **notes}
    spec |= {CPU_UTILIZATION[0]: cpu[-1]} if cpu else {}
    status |= {CPU_UTILIZATION[1]: used[-1]} if used else {}
    return {**obj, "metadata": metadata, "spec": spec, "status": {"currentReplicas": 0, "desiredReplicas": 0, **status}}


def to_v2(obj: dict) -> dict:
    """Return an autoscaling/v1 object as it is stored."""
    metadata, spec, status = dict(obj["metadata"]), dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    notes = dict(metadata.pop("annotations", None) or {})
    told = {name: _read(notes.pop(name, "")) for name in (METRICS, CURRENT, CONDITIONS, BEHAVIOR)}
    cpu = spec.pop(CPU_UTILIZATION[0], None)
    status.pop(CPU_UTILIZATION[1], None)
    spec["metrics"] = [metric_to_v2(each, "target") for each in told[METRICS] or []]
    if cpu is not None:
        target = {"type": "Utilization", "averageUtilization": cpu}
        spec["metrics"].append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    spec["metrics"] = spec["metrics"] or DEFAULT_METRICS
    if told[BEHAVIOR]:
        spec["behavior"] = json_behavior(told[BEHAVIOR])
    status["currentMetrics"] = [metric_to_v2(each, "current") for each in told[CURRENT] or []] or None
    if told[CONDITIONS]:
        status["conditions"] = told[CONDITIONS]
    if not status.get("currentReplicas"):
        status.pop("currentReplicas", None)
    if notes:
        metadata["annotations"] = notes
    return {**obj, "metadata": metadata, "spec": spec, "status": status}


def _read(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def go_behavior(behavior: dict) -> dict:
    """Return a behaviour under the names of Go's struct, in its order, what is unset as null."""

    def rules(given: dict | None) -> dict | None:
        return given and {_upper(name): _each(given.get(name), _upper) for name in _RULE}

    return {_upper(name): rules(behavior.get(name)) for name in ("scaleUp", "scaleDown")}


def json_behavior(behavior: dict) -> dict:
    found = {_lower(name): rules for name, rules in behavior.items() if rules}
    return {
        name: {_lower(field): _each(value, _lower) for field, value in rules.items() if value is not None}
        for name, rules in found.items()
    }


def _each(value: Any, rename: Any) -> Any:
    if isinstance(value, list):
        return [{rename(name): item for name, item in each.items()} for each in value]
    return value


def _upper(name: str) -> str:
    return name[:1].upper() + name[1:]


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
