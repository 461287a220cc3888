"""The JSON paths of printer columns: fields, items, all items, and those that a comparison picks.

    .spec.size   .metadata.labels['app']   .spec.list[*].name   .status.conditions[?(@.type=="Ready")].status

Left out: slices, `..` and functions; a definition with one is refused.

Upstream: staging/src/k8s.io/client-go/util/jsonpath
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from labkit.glassbox import objects

STEP = re.compile(
    r"""(?P<all>\[\*\]|\.\*) | \.(?P<field>(\\.|[^.\[\]\\])+)
    | \[(?P<index>-?\d+)\] | \[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]
    | \[\?\(\s*@\.(?P<of>[\w.\-]+)\s*(?P<operator>==|!=)\s*(?P<mark>['"]?)(?P<value>.*?)(?P=mark)\s*\)\]""",
    re.VERBOSE,
)
Step = Callable[[Any], Iterator[Any]]


class BadPath(ValueError):
    """A path that is none, or asks for more than is served here."""


@lru_cache(maxsize=512)
def parse(path: str) -> tuple[Step, ...]:
    """Return the steps of a path. Raises BadPath."""
    steps, at = [], 0
    while at < len(path) and path != ".":
        if not (found := STEP.match(path, at)):
            raise BadPath(
                f"unrecognized part {path[at:]!r}; fields, [index], [*], ['key'] and [?(@.field==value)] are known"
            )
        steps.append(_step(found))
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
    if found["of"]:
        return _picked(found["of"], found["value"], found["operator"] == "==")
    if found["index"]:
        return _indexed(int(found["index"]))
    return _named(re.sub(r"\\(.)", r"\1", found["field"]) if found["field"] else found["key"])


def _items(value: Any) -> Iterator[Any]:
    yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _indexed(index: int) -> Step:
    return lambda value: iter(value[index : index + 1 or None] if isinstance(value, list) else ())


def _named(name: str) -> Step:
    return lambda value: iter((value[name],) if isinstance(value, dict) and name in value else ())


def _picked(path: str, wanted: str, equal: bool) -> Step:
    def step(value: Any) -> Iterator[Any]:
        for each in _items(value):
            held = objects.dig(each, path)
            text = {True: "true", False: "false"}[held] if isinstance(held, bool) else str(held)
            if held is not None and (text == wanted) == equal:
                yield each

    return step
