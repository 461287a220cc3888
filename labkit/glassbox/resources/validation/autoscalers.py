"""What HorizontalPodAutoscalers must satisfy, in the form of autoscaling/v2.

Upstream: pkg/apis/autoscaling/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    NOT_NEGATIVE,
    every,
    forbidden,
    invalid,
    items,
    one_of,
    required,
    unsupported,
)
from labkit.glassbox.resources.validation.resource_amounts import resource_name

SOURCES = {  # type → field
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
PER_POD = "must set either a target value for metric or a per-pod target"
NO_SCALE_TO_ZERO = "must specify at least one Object or External metric to support scaling to zero replicas"
POSITIVE = "must be greater than zero"
LONGEST_WINDOW, LONGEST_PERIOD = 3600, 1800  # seconds


def autoscaler(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if least < 1:
        yield invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    if most < least:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    yield from reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef", needs_group=True)
    metrics = spec.get("metrics") or []
    yield from every(metric, metrics, "spec.metrics")
    if least == 0 and not any(each.get("type") in ("Object", "External") for each in metrics):
        yield forbidden("spec.metrics", NO_SCALE_TO_ZERO)
    for way in ("scaleUp", "scaleDown"):
        yield from rules((spec.get("behavior") or {}).get(way), f"spec.behavior.{way}")


def reference(given: dict, path: str, needs_group: bool = False) -> Iterator[Cause]:
    """Check a reference to an object; of the core group, only a ReplicationController has a scale."""
    for field in ("kind", "name"):
        yield from names.needed(names.path_segment, f"{path}.{field}", given.get(field))
    version = given.get("apiVersion", "")
    if version.count("/") > 1:
        yield invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    elif needs_group and "/" not in version and (version, given.get("kind")) != ("v1", "ReplicationController"):
        yield invalid(f"{path}.apiVersion", version, "apiVersion must specify API group")


def metric(given: dict, path: str) -> Iterator[Cause]:
    kind = given.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
    if kind not in SOURCES:
        yield unsupported(f"{path}.type", kind, SOURCES)
    present = [field for field in _SOURCE if given.get(field) is not None]
    if present:
        yield from _SOURCE[present[0]](given[present[0]], f"{path}.{present[0]}")
    expected = SOURCES.get(kind)
    if expected is None:
        yield unsupported(f"{path}.type", kind, SOURCES)  # upstream looks twice
    elif expected not in present:
        yield required(f"{path}.{expected}", "must populate information for the given metric source")
    if len(present) > 1:
        for field in present:
            if field != expected:
                yield forbidden(f"{path}.{field}", "must populate the given metric source only")


def target(given: dict, path: str) -> Iterator[Cause]:
    kind = given.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    if kind not in ("Utilization", "Value", "AverageValue"):
        yield invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for field in ("value", "averageValue"):
        if field in given and quantity.parse(given[field]) <= 0:
            yield invalid(f"{path}.{field}", given[field], "must be positive")
    if given.get("averageUtilization", 1) < 1:
        yield invalid(f"{path}.averageUtilization", given["averageUtilization"], "must be greater than 0")


def _resource(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("name"):
        yield required(f"{path}.name", "must specify a resource name")
    yield from _used(given, path)


def _used(given: dict, path: str) -> Iterator[Cause]:
    wanted = given.get("target") or {}
    yield from target(wanted, f"{path}.target")
    if "averageUtilization" not in wanted and "averageValue" not in wanted:
        told = "must set either a target raw value or a target utilization"
        yield required(f"{path}.target.averageUtilization", told)
    elif "averageUtilization" in wanted and "averageValue" in wanted:
        told = "may not set both a target raw value and a target utilization"
        yield forbidden(f"{path}.target.averageValue", told)


def _container_resource(given: dict, path: str) -> Iterator[Cause]:
    if name := given.get("name"):
        yield from resource_name(name, f"{path}.name")
    else:
        yield required(f"{path}.name", "must specify a resource name")
    yield from names.needed(names.dns_label, f"{path}.container", given.get("container"), "must specify a container")
    yield from _used(given, path)


def _metric(given: dict, path: str) -> Iterator[Cause]:
    name = (given.get("metric") or {}).get("name")
    yield from names.needed(names.path_segment, f"{path}.metric.name", name, "must specify a metric name")
    yield from target(given.get("target") or {}, f"{path}.target")


def _pods(given: dict, path: str) -> Iterator[Cause]:
    yield from _metric(given, path)
    if "averageValue" not in (given.get("target") or {}):
        yield required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _external(given: dict, path: str) -> Iterator[Cause]:
    yield from _metric(given, path)
    wanted = given.get("target") or {}
    if "value" not in wanted and "averageValue" not in wanted:
        yield required(f"{path}.target.averageValue", PER_POD)
    elif "value" in wanted and "averageValue" in wanted:
        told = "may not set both a target value for metric and a per-pod target"
        yield forbidden(f"{path}.target.value", told)


def _object(given: dict, path: str) -> Iterator[Cause]:
    yield from reference(given.get("describedObject") or {}, f"{path}.describedObject")
    yield from _metric(given, path)
    wanted = given.get("target") or {}
    if "value" not in wanted and "averageValue" not in wanted:
        yield required(f"{path}.target.averageValue", "must set either a target value or averageValue")


_SOURCE = {  # in the order in which one is looked for
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def rules(given: dict | None, path: str) -> Iterator[Cause]:
    """Check how fast replicas may be added, or taken away."""
    if given is None:
        return
    window = given.get("stabilizationWindowSeconds", 0)
    if window < 0:
        yield invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window > LONGEST_WINDOW:
        told = f"must be less than or equal to {LONGEST_WINDOW}"
        yield invalid(f"{path}.stabilizationWindowSeconds", window, told)
    yield from one_of(f"{path}.selectPolicy", given.get("selectPolicy"), ("Disabled", "Max", "Min"))
    if not given.get("policies"):
        yield required(f"{path}.policies", "must specify at least one Policy")
    for at, each in items(given.get("policies"), f"{path}.policies"):
        period = each.get("periodSeconds", 0)
        yield from one_of(f"{at}.type", each.get("type", ""), ("Percent", "Pods"))
        if each.get("value", 0) <= 0:
            yield invalid(f"{at}.value", each.get("value", 0), POSITIVE)
        if period <= 0:
            yield invalid(f"{at}.periodSeconds", period, POSITIVE)
        if period > LONGEST_PERIOD:
            yield invalid(f"{at}.periodSeconds", period, f"must be less than or equal to {LONGEST_PERIOD}")
    tolerance = given.get("tolerance")
    if tolerance is not None and quantity.parse(tolerance) < 0:
        yield invalid(f"{path}.tolerance", tolerance, NOT_NEGATIVE)
