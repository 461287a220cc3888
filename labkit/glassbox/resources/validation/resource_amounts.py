"""What requests and limits must satisfy.

Upstream: ValidateContainerResourceRequirements in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import NOT_NEGATIVE, invalid, required

STANDARD = ("cpu", "memory", "ephemeral-storage", "storage", "pods")
FOR_CONTAINERS = ("cpu", "memory", "ephemeral-storage")


def resources(given: dict, path: str) -> Iterator[Cause]:
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    for name, amount in sorted(limits.items()):
        yield from _resource(name, amount, f"{path}.limits[{name}]")
    for name, amount in sorted(requests.items()):
        yield from _resource(name, amount, f"{path}.requests[{name}]")
        if name in limits:
            yield from _within_limit(name, amount, limits[name], f"{path}.requests")
        elif _is_extended(name):
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")


def _resource(name: str, amount: str, path: str) -> Iterator[Cause]:
    yield from names.check(names.qualified_name, path, name)
    if "/" not in name and not name.startswith("hugepages-"):
        if name not in STANDARD:
            yield invalid(path, name, "must be a standard resource type or fully qualified")
        if name not in FOR_CONTAINERS:
            yield invalid(path, name, "must be a standard resource for containers")
    value = quantity.parse(amount)
    if value < 0:
        yield invalid(path, amount, NOT_NEGATIVE)
    if _is_extended(name) and value != value.to_integral_value():
        yield invalid(path, amount, "must be an integer")


def _within_limit(name: str, amount: str, limit: str, path: str) -> Iterator[Cause]:
    if _is_extended(name) and quantity.parse(amount) != quantity.parse(limit):
        yield invalid(path, amount, f"must be equal to {name} limit of {limit}")
    elif quantity.parse(amount) > quantity.parse(limit):
        yield invalid(path, amount, f"must be less than or equal to {name} limit of {limit}")


def _is_extended(name: str) -> bool:
    return "/" in name and "kubernetes.io/" not in name
