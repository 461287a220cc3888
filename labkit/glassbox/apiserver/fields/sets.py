"""Sets of fields, in the very form in which `fieldsV1` shows them.

A set is a tree of dicts. Its keys are path elements: `f:NAME` for a field, `k:{…}` for an item of a list by its keys,
`v:…` for an item of a set by its value, `i:N` for an index. Below a key lies what is owned beneath; `.` in it says that
the element itself is owned too, and so does an empty dict. At the top there is no `.`; the empty set is {}.

Invariant: no function changes what it is given; results may share parts with it.

Upstream: sigs.k8s.io/structured-merge-diff/fieldpath/{set,serialize,serialize-pe}.go
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

Fields = dict[str, Any]

SELF = "."
KINDS = ("f:", "k:", "v:", "i:")


def owned(node: Fields) -> bool:
    """Tell whether an element with this below it is itself in the set."""
    return not node or SELF in node


def below(node: Fields) -> Fields:
    """Return the set of what is owned beneath an element."""
    return {key: item for key, item in node.items() if key != SELF} if SELF in node else node


def put(fields: Fields, element: str, itself: bool, beneath: Fields) -> None:
    """Add an element: itself, what is beneath, both or neither."""
    if itself:
        fields[element] = {SELF: {}, **beneath} if beneath else {}
    elif beneath:
        fields[element] = beneath


def union(one: Fields, other: Fields) -> Fields:
    if not one or not other:
        return one or other
    result = dict(one)
    for element, node in other.items():
        held = result.get(element)
        if held is None:
            result[element] = node
        elif held != node:
            put(result, element, owned(held) or owned(node), union(below(held), below(node)))
    return result


def intersection(one: Fields, other: Fields) -> Fields:
    result: Fields = {}
    for element in one.keys() & other.keys():
        mine, theirs = one[element], other[element]
        put(result, element, owned(mine) and owned(theirs), intersection(below(mine), below(theirs)))
    return result


def difference(one: Fields, other: Fields) -> Fields:
    """Return what is in one and not in other."""
    if one.keys().isdisjoint(other):
        return one
    result: Fields = {}
    for element, mine in one.items():
        theirs = other.get(element)
        if theirs is None:
            result[element] = mine
        else:
            put(result, element, owned(mine) and not owned(theirs), difference(below(mine), below(theirs)))
    return result


def without(one: Fields, whole: Fields) -> Fields:
    """Return what is in one and neither in whole nor beneath an element of it."""
    if one.keys().isdisjoint(whole):
        return one
    result: Fields = {}
    for element, mine in one.items():
        theirs = whole.get(element)
        if theirs is None:
            result[element] = mine
        elif not owned(theirs):
            put(result, element, owned(mine), without(below(mine), theirs))
    return result


def ordered(fields: Fields) -> Fields:
    """Return the set with its elements in the order in which it is written."""
    return orjson.loads(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))


def paths(fields: Fields, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each member, those of a level before those beneath."""
    for element in sorted(fields):
        if owned(fields[element]):
            yield (*prefix, element)
    for element in sorted(fields):
        yield from paths(below(fields[element]), (*prefix, element))


def text(path: tuple[str, ...]) -> str:
    """Return a path as error texts show it: `.spec.containers[name="a"].image`."""
    return "".join(map(_shown, path))


def _shown(element: str) -> str:
    kind, rest = element[:2], element[2:]
    if kind == "k:":
        return f"[{','.join(f'{key}={json.dumps(value)}' for key, value in json.loads(rest).items())}]"
    return {"f:": f".{rest}", "v:": f"[={rest}]"}.get(kind, f"[{rest}]")


def key_element(keys: dict[str, Any]) -> str:
    return f"k:{orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()}"


def value_element(value: Any) -> str:
    return f"v:{orjson.dumps(value).decode()}"


def parse(given: Any) -> Fields:
    """Return the set that a client sent, in its normal form. Raises ValueError if it is none."""
    if not isinstance(given, dict):
        raise ValueError(f"a set of fields is an object, not {given!r}")
    return {_element(element): parse(node) for element, node in given.items()}


def _element(given: str) -> str:
    kind, rest = given[:2], given[2:]
    if given == SELF or kind == "f:":
        return given
    if kind == "k:" and isinstance(keys := orjson.loads(rest), dict):
        return key_element(keys)
    if kind == "v:":
        return value_element(orjson.loads(rest))
    if kind == "i:" and rest.isdigit():
        return given
    raise ValueError(f"unknown path element: {given!r}, expected one that begins with {', '.join(KINDS)}")
