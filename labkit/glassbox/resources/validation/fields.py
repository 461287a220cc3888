"""The sentences of refusals: a reason, the value as Go shows it, what was expected.

Upstream: staging/src/k8s.io/apimachinery/pkg/util/validation/field/errors.go
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from labkit.glassbox.errors import Cause

HTML = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"}
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"


def shown(value: Any) -> str:
    """Return a value as error texts quote it: Go's encoder escapes HTML within objects and lists."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda found: HTML[found[0]], text) if isinstance(value, dict | list) else text


def items(given: Iterable[Any] | None, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each item of a list with its path."""
    return ((f"{path}[{index}]", each) for index, each in enumerate(given or ()))


def every(check: Callable[..., Iterable[Cause]], given: Iterable[Any] | None, path: str, *more: Any) -> Iterator[Cause]:
    """Check each item of a list: check(item, its path, *more)."""
    for at, each in items(given, path):
        yield from check(each, at, *more)


def unique(path: str, value: Any, seen: set) -> Iterator[Cause]:
    """Refuse a value that was there before."""
    if value in seen:
        yield duplicate(path, value)
    seen.add(value)


def limited(
    check: Callable[..., Iterable[Cause]], given: list | None, path: str, most: int, *more: Any
) -> Iterator[Cause]:
    """Check the items of a list unless they are too many."""
    if len(given or ()) > most:
        yield too_many(path, len(given or ()), most)
    else:
        yield from every(check, given, path, *more)


def distinct(
    check: Callable[..., Iterable[Cause]],
    given: list | None,
    path: str,
    most: int,
    key: Callable[[Any], str],
    *more: Any,
) -> Iterator[Cause]:
    """Check the items of a list, and that none is there twice, unless they are too many."""
    yield from limited(check, given, path, most, *more)
    seen: set[str] = set()
    for at, each in items(given if len(given or ()) <= most else (), path):
        yield from unique(at, key(each), seen)


def required(path: str, told: str = "") -> Cause:
    return Cause("FieldValueRequired", f"Required value: {told}" if told else "Required value", path)


def invalid(path: str, value: Any, told: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {shown(value)}{': ' if told else ''}{told}", path)


def forbidden(path: str, told: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {told}", path)


def duplicate(path: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {shown(value)}", path)


def not_found(path: str, value: Any) -> Cause:
    return Cause("FieldValueNotFound", f"Not found: {shown(value)}", path)


def too_long(path: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)


def too_many(path: str, count: int, most: int) -> Cause:
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {most} items", path)


def unsupported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    listed = ", ".join(f'"{each}"' for each in supported)
    return Cause("FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {listed}", path)


def one_of(path: str, value: Any, supported: Iterable[str]) -> Iterator[Cause]:
    """Refuse a value that is set to something else than what is supported."""
    if value is not None and value not in supported:
        yield unsupported(path, value, supported)


def not_negative(path: str, value: int | None) -> Iterator[Cause]:
    if value is not None and value < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def in_range(path: str, value: int | None, low: int, high: int) -> Iterator[Cause]:
    if value is not None and not low <= value <= high:
        yield invalid(path, value, f"must be between {low} and {high}, inclusive")


def status_counts(status: dict, old: dict, counted: Iterable[str]) -> Iterator[Cause]:
    """Refuse counts below zero, more replicas of a sort than there are, and collisions that are forgotten."""
    for field, value in status.items():
        if isinstance(value, int):
            yield from not_negative(f"status.{field}", value)
    for field in counted:
        if status.get(field, 0) > status.get("replicas", 0):
            yield invalid(f"status.{field}", status.get(field, 0), "cannot be greater than status.replicas")
    if "availableReplicas" in counted and status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        told = "status.readyReplicas" if "currentReplicas" in counted else "readyReplicas"
        yield invalid("status.availableReplicas", status.get("availableReplicas", 0), f"cannot be greater than {told}")
    collisions, held = (each.get("collisionCount") for each in (status, old))
    if held is not None and (collisions is None or collisions < held):
        yield invalid("status.collisionCount", collisions or 0, "cannot be decremented")


def no_parent(path: str, value: str, told: str = "must not contain '..'") -> Iterator[Cause]:
    """Refuse a path that climbs."""
    if ".." in value.split("/"):
        yield invalid(path, value, told)


def unchanged(path: str, new: Any, old: Any) -> Iterator[Cause]:
    if new != old:
        yield invalid(path, new, IMMUTABLE)
