"""Lists in CEL: sorted, summed up, compared as sets.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/library/lists.go, github.com/google/cel-go/ext/sets.go
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any


def is_sorted(items: list) -> bool:
    return all(before <= after for before, after in zip(items, items[1:], strict=False))


def total(items: list) -> Any:
    """Return the sum of numbers or durations; 0 of none."""
    return sum(items, timedelta(0) if items and isinstance(items[0], timedelta) else 0)


def least(items: list) -> Any:
    return min(_some(items, "min"))


def most(items: list) -> Any:
    return max(_some(items, "max"))


def contains(items: list, others: list) -> bool:
    return all(any(_same(item, other) for item in items) for other in others)


def equivalent(items: list, others: list) -> bool:
    return contains(items, others) and contains(others, items)


def intersects(items: list, others: list) -> bool:
    return any(_same(item, other) for item in items for other in others)


def _some(items: list, name: str) -> list:
    if not items:
        raise ValueError(f"{name} called on empty list")
    return items


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal; to Python true is 1 as well."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
