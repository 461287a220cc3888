"""Lists in CEL: sorted, summed up, taken apart, compared as sets.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/library/lists.go, github.com/google/cel-go/ext/{sets,lists}.go
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


def part(items: list, start: int, end: int) -> list:
    told = f"cannot slice({start}, {end}), "
    if start < 0 or end < 0:
        raise ValueError(told + "negative indexes not supported")
    if start > end:
        raise ValueError(told + "start index must be less than or equal to end index")
    if len(items) < end:
        raise ValueError(f"{told}list is length {len(items)}")
    return items[start:end]


def flat(items: list, depth: int = 1) -> list:
    if depth < 0:
        raise ValueError("level must be non-negative")
    nested = (flat(each, depth - 1) if isinstance(each, list) and depth else [each] for each in items)
    return [each for part in nested for each in part]


def ordered(items: list) -> list:
    if len({type(each) for each in items}) > 1:
        raise ValueError("list elements must have the same type")
    return sorted(items)


def distinct(items: list) -> list:
    found: list = []
    for each in items:
        if not any(_same(each, other) for other in found):
            found.append(each)
    return found


def numbers(count: int) -> list[int]:
    if count < 0:
        raise ValueError(f"lists.range: size must be non-negative, got {count}")
    return list(range(count))


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
