"""What requests and limits must satisfy.

Upstream: ValidateContainerResourceRequirements in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import NOT_NEGATIVE, invalid, required

# What is counted by the piece.
OBJECTS = (
    *("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps"),
    *("persistentvolumeclaims", "services.nodeports", "services.loadbalancers"),
)
FOR_CONTAINERS = ("cpu", "memory", "ephemeral-storage")
COMPUTE = tuple(part + name for part in ("", "requests.", "limits.") for name in FOR_CONTAINERS)
STANDARD = (*COMPUTE, "storage", "requests.storage", *OBJECTS)


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
    yield from resource_name(name, path)
    yield from amount_of(name, amount, path)


def resource_name(name: str, path: str, for_containers: bool = True) -> Iterator[Cause]:
    """Refuse a name that no resource has, or none that a container may ask for."""
    faults = list(names.check(names.qualified_name, path, name))
    yield from faults
    if "/" not in name and not name.startswith("hugepages-"):
        if not faults and name not in STANDARD and not name.startswith("requests.hugepages-"):
            yield invalid(path, name, "must be a standard resource type or fully qualified")
        if for_containers and name not in FOR_CONTAINERS:
            yield invalid(path, name, "must be a standard resource for containers")


def amount_of(name: str, amount: str, path: str) -> Iterator[Cause]:
    """Refuse less than nothing, and parts of what there are only whole ones of."""
    value = quantity.parse(amount)
    if value < 0:
        yield invalid(path, amount, NOT_NEGATIVE)
    whole = _is_extended(name) or name in OBJECTS or name.startswith("count/")
    if whole and value != value.to_integral_value():
        yield invalid(path, amount, "must be an integer")


def _within_limit(name: str, amount: str, limit: str, path: str) -> Iterator[Cause]:
    if _is_extended(name) and quantity.parse(amount) != quantity.parse(limit):
        yield invalid(path, amount, f"must be equal to {name} limit of {limit}")
    elif quantity.parse(amount) > quantity.parse(limit):
        yield invalid(path, amount, f"must be less than or equal to {name} limit of {limit}")


def _is_extended(name: str) -> bool:
    return "/" in name and "kubernetes.io/" not in name
