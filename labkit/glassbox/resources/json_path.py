"""The JSON paths of printer columns: fields, items, slices, all items, those that a comparison picks, at any depth.

    .spec.size   .metadata.labels['app']   .spec.list[*].name   .status.conditions[?(@.type=="Ready")].status
    .status.conditions[-1:].type   .spec..name   .spec.list[?(@.weight>5)]   .spec.list[?(@.name)]

Left out: unions, and comparisons of two fields; a definition with one is refused.

Upstream: staging/src/k8s.io/client-go/util/jsonpath
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from labkit.glassbox import objects

STEP = re.compile(
    r"""(?P<all>\[\*\]|\.\*) | (?P<deep>\.\.(?=\[)|\.(?=\.)) | \.(?P<field>(\\.|[^.\[\]\\])+)
    | \[(?P<index>-?\d+)\] | \[(?P<first>-?\d*):(?P<last>-?\d*)(:(?P<stride>\d*))?\]
    | \['(?P<key>[^']+)'\]
    | \[\?\(\s*@(?P<of>(\.[\w\-]+)*)\s*((?P<operator>[=!]=|[<>]=?)\s*(?P<mark>['"]?)(?P<value>.*?)(?P=mark)\s*)?\)\]""",
    re.VERBOSE,
)
ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
Step = Callable[[Any], Iterator[Any]]


class BadPath(ValueError):
    """A path that is none, or asks for more than is served here."""


@lru_cache(maxsize=512)
def parse(path: str) -> tuple[Step, ...]:
    """Return the steps of a path. Raises BadPath."""
    steps: list[Step] = []
    at = 0
    while at < len(path) and path != ".":
        if not (found := STEP.match(path, at)):
            raise BadPath(
                f"unrecognized part {path[at:]!r}; known: fields, [index], [from:to], [*], ['key'], [?(@.field==value)]"
            )
        steps += parse(f".{found['key']}") if found["key"] else [_step(found)]  # a key in brackets is a path, too
        at = found.end()
    return tuple(steps)


def find(path: str, obj: Any) -> list[Any]:
    """Return what lies at a path."""
    values = [obj]
    for step in parse(path):
        values = [found for value in values for found in step(value)]
    return values


def _step(found: re.Match) -> Step:
    if found["all"]:
        return _items
    if found["deep"]:
        return _everything
    if found["of"] is not None:
        return _picked(found["of"][1:], found["operator"] or "", found["value"] or "")
    if found["index"]:
        return _indexed(int(found["index"]))
    if found["first"] is not None:
        return _sliced(*(int(found[name]) if found[name] else None for name in ("first", "last", "stride")))
    return _named(re.sub(r"\\(.)", r"\1", found["field"]))


def _items(value: Any) -> Iterator[Any]:
    yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _everything(value: Any) -> Iterator[Any]:
    """Yield a value and all that it holds, but for what holds nothing."""
    if isinstance(value, (dict, list)) and value:
        yield value
        for each in _items(value):
            yield from _everything(each)


def _indexed(index: int) -> Step:
    return lambda value: iter(value[index : index + 1 or None] if isinstance(value, list) else ())


def _sliced(first: int | None, last: int | None, stride: int | None) -> Step:
    """Return a step to part of a list; upstream lets none go beyond the list."""

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            begin, end = (
                each + len(value) if each < 0 else each for each in (first or 0, len(value) if last is None else last)
            )
            if 0 <= begin < len(value) and begin <= end <= len(value):
                yield from value[begin : end : stride or 1]

    return step


def _named(name: str) -> Step:
    return lambda value: iter((value[name],) if isinstance(value, dict) and name in value else ())


def _picked(path: str, comparison: str, wanted: str) -> Step:
    def fits(each: Any) -> bool:
        held = objects.dig(each, path) if path else each
        if held is None or not comparison:
            return held is not None
        if comparison in ORDERS:
            return _orders(comparison, held, wanted)
        text = {True: "true", False: "false"}[held] if isinstance(held, bool) else str(held)
        return (text == wanted) == (comparison == "==")

    return lambda value: filter(fits, _items(value))


def _orders(comparison: str, held: Any, wanted: str) -> bool:
    try:
        return ORDERS[comparison](held, wanted if isinstance(held, str) else float(wanted))
    except (ValueError, TypeError):
        return False  # two kinds have no order
