"""What limit ranges must be like.

Upstream: ValidateLimitRange in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import forbidden, invalid, items, required, unique
from labkit.glassbox.resources.validation.resource_amounts import may_be_overcommitted, resource_name

# (field, other field, what is told): the first must not be less than the second
ORDERED = (
    ("max", "min", "min value {min} is greater than max value {max}"),
    ("defaultRequest", "min", "min value {min} is greater than default request value {defaultRequest}"),
    ("max", "defaultRequest", "default request value {defaultRequest} is greater than max value {max}"),
    (
        "default",
        "defaultRequest",
        "default request value {defaultRequest} is greater than default limit value {default}",
    ),
    ("default", "min", "min value {min} is greater than default value {default}"),
    ("max", "default", "default value {default} is greater than max value {max}"),
)
# Upstream shows not always the value of the field that it names.
BLAMED = {
    ("defaultRequest", "min"): ("defaultRequest", "defaultRequest"),
    **{("default", "min"): ("default", "min"), ("max", "default"): ("default", "max")},
}
UNBOUNDED = "either minimum or maximum storage value is required, but neither was provided"
FIELDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
TYPES = ("Pod", "Container", "PersistentVolumeClaim")


def limit_range(obj: dict) -> Iterator[Cause]:
    seen: set[str] = set()
    for path, each in items((obj.get("spec") or {}).get("limits"), "spec.limits"):
        yield from _type(each.get("type", ""), f"{path}.type")
        yield from unique(f"{path}.type", each.get("type", ""), seen)
        yield from limit(each, path)


def _type(given: str, path: str) -> Iterator[Cause]:
    faults = list(names.check(names.qualified_name, path, given))
    yield from faults
    if not faults and "/" not in given and given not in TYPES:
        yield invalid(path, given, "must be a standard limit type or fully qualified")


def limit(given: dict, path: str) -> Iterator[Cause]:
    of_pod, by_container = given.get("type") == "Pod", given.get("type") in ("Pod", "Container")
    bounded = any("storage" in (given.get(field) or {}) for field in ("min", "max"))
    for field in FIELDS:
        if of_pod and field.startswith("default") and given.get(field):
            yield forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'")
            continue
        if field == "maxLimitRequestRatio" and given.get("type") == "PersistentVolumeClaim" and not bounded:
            yield required(f"{path}.limits", UNBOUNDED)
        for name in sorted(given.get(field) or ()):
            yield from resource_name(name, f"{path}.{field}[{name}]", for_containers=by_container)
    for name in sorted({name for field in FIELDS for name in given.get(field) or ()}):
        values = {field: given[field][name] for field in FIELDS if name in (given.get(field) or {})}
        yield from _amounts(values, name, path)


def _amounts(values: dict[str, str], name: str, path: str) -> Iterator[Cause]:
    for high, low, told in ORDERED:
        if high in values and low in values and quantity.parse(values[low]) > quantity.parse(values[high]):
            blamed, shown = BLAMED.get((high, low), (low, low))
            yield invalid(f"{path}.{blamed}[{name}]", values[shown], told.format(**values))
    if (ratio := values.get("maxLimitRequestRatio")) is not None:
        yield from _ratio(quantity.parse(ratio), ratio, values, name, path)
    if may_be_overcommitted(name) or not {"default", "defaultRequest"} <= set(values):
        return
    limit, request = values["default"], values["defaultRequest"]
    if quantity.parse(limit) != quantity.parse(request):
        told = f"default value {limit} must equal to defaultRequest value {request} in {name}"
        yield invalid(f"{path}.defaultRequest[{name}]", request, told)


def _ratio(ratio: Decimal, text: str, values: dict[str, str], name: str, path: str) -> Iterator[Cause]:
    at = f"{path}.maxLimitRequestRatio[{name}]"
    if ratio < 1:
        yield invalid(at, text, f"ratio {text} is less than 1")
    if "min" in values and "max" in values and quantity.parse(values["min"]):
        most = quantity.parse(values["max"]) / quantity.parse(values["min"])
        if ratio > most:
            yield invalid(at, text, f"ratio {text} is greater than max/min = {float(most):f}")
