"""What requests and limits must satisfy.

Upstream: ValidateContainerResourceRequirements in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    NOT_NEGATIVE,
    duplicate,
    forbidden,
    invalid,
    items,
    required,
    shown,
    unsupported,
)

# What is counted by the piece.
OBJECTS = (
    *("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps"),
    *("persistentvolumeclaims", "services.nodeports", "services.loadbalancers"),
)
PAGES = "hugepages-"
FOR_CONTAINERS = ("cpu", "memory", "ephemeral-storage")
COMPUTE = tuple(part + name for part in ("", "requests.", "limits.") for name in FOR_CONTAINERS)
STANDARD = (*COMPUTE, "storage", "requests.storage", *OBJECTS)


def resources(given: dict, path: str, claims: Iterable[str] | None = None, of_pod: bool = False) -> Iterator[Cause]:
    """Check what a container, or a pod as a whole, asks for and may have; of claims, those that its pod names."""
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    for name, amount in sorted(limits.items()):
        yield from _resource(name, amount, f"{path}.limits[{name}]", of_pod)
    for name, amount in sorted(requests.items()):
        at = f"{path}.requests[{name}]"
        yield from _name(name, at, of_pod)
        yield from amount_of(name, amount, at)
        if name in limits:
            yield from _within_limit(name, amount, limits[name], f"{path}.requests")
        elif not may_be_overcommitted(name):
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        yield from _pages(name, amount, at)
    asked = {*limits, *requests}
    if not asked & {"cpu", "memory"} and any(name.startswith(PAGES) for name in asked):
        yield forbidden(path, "HugePages require cpu or memory")
    if claims is not None:
        yield from _claims(given.get("claims") or [], sorted(claims), f"{path}.claims")


def _claims(given: list[dict], known: list[str], path: str) -> Iterator[Cause]:
    """Check which of the pod's claims a container uses, all of one or single requests of it."""
    seen: set[str] = set()
    for at, each in items(given, path):
        name, wanted = each.get("name", ""), each.get("request", "")
        if not name:
            yield required(at)
            continue
        which = f"{name}/{wanted}" if wanted else name
        if name in seen:
            yield duplicate(at, name)
        else:
            yield from names.check(names.dns_label, f"{at}.request", wanted) if wanted else ()
            partly = not wanted and any(other.startswith(f"{name}/") for other in seen)
            yield from [duplicate(at, which)] if which in seen or partly else []
            seen.add(which)
        if name not in known:
            told = f": {', '.join(known)}" if known else " which is empty"
            told = f"{shown(name)}: must be one of the names in pod.spec.resourceClaims{told}"
            yield Cause("FieldValueNotFound", f"Not found: {told}", at)


def _resource(name: str, amount: str, path: str, of_pod: bool) -> Iterator[Cause]:
    yield from _name(name, path, of_pod)
    yield from amount_of(name, amount, path)
    yield from _pages(name, amount, path)


def _name(name: str, path: str, of_pod: bool) -> Iterator[Cause]:
    if not of_pod:
        yield from resource_name(name, path)
        return
    faults = list(resource_name(name, path, for_containers=False))
    yield from faults
    if not faults and name not in ("cpu", "memory") and not name.startswith(PAGES):
        yield unsupported(path, name, ("cpu", PAGES, "memory"))


def _pages(name: str, amount: str, path: str) -> Iterator[Cause]:
    """Refuse parts of a huge page."""
    if not name.startswith(PAGES):
        return
    try:
        size = quantity.parse(name.removeprefix(PAGES))
    except ValueError:
        size = Decimal(0)
    if size <= 0 or size % 1 or quantity.parse(amount) % size:
        yield invalid(path, amount, f"{amount} is not positive integer multiple of {name}")


def resource_name(name: str, path: str, for_containers: bool = True) -> Iterator[Cause]:
    """Refuse a name that no resource has, or none that a container may ask for."""
    faults = list(names.check(names.qualified_name, path, name))
    yield from faults
    if "/" not in name:
        known = name in STANDARD or name.startswith((PAGES, f"requests.{PAGES}"))
        if not faults and not known:
            yield invalid(path, name, "must be a standard resource type or fully qualified")
        if for_containers and name not in FOR_CONTAINERS and not name.startswith(PAGES):
            yield invalid(path, name, "must be a standard resource for containers")
    elif for_containers and not is_native(name) and not is_extended(name):
        yield invalid(path, name, "doesn't follow extended resource name standard")


def amount_of(name: str, amount: str, path: str) -> Iterator[Cause]:
    """Refuse less than nothing, and parts of what there are only whole ones of."""
    value = quantity.parse(amount)
    if value < 0:
        yield invalid(path, amount, NOT_NEGATIVE)
    whole = is_extended(name) or name in OBJECTS or name.startswith("count/")
    if whole and value != value.to_integral_value():
        yield invalid(path, amount, "must be an integer")


def _within_limit(name: str, amount: str, limit: str, path: str) -> Iterator[Cause]:
    wanted, most = quantity.parse(amount), quantity.parse(limit)
    if wanted != most and not may_be_overcommitted(name):
        yield invalid(path, amount, f"must be equal to {name} limit of {limit}")
    elif wanted > most:
        yield invalid(path, amount, f"must be less than or equal to {name} limit of {limit}")


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def may_be_overcommitted(name: str) -> bool:
    return is_native(name) and not name.startswith(PAGES)


def is_extended(name: str) -> bool:
    """Tell whether a name is one that a quota could also name: requests.NAME."""
    return not (is_native(name) or name.startswith("requests.") or names.qualified_name(f"requests.{name}"))
