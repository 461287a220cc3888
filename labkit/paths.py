"""A small part of kubectl's JSONPath: where in an object a value lies.

.metadata.labels.app · .spec.containers[*].image · .metadata.labels['app.kubernetes.io/name'] · .spec.containers[0]
.spec.rules[?(@.host=="shop.example")].http.paths[*].path

Of filters there is equality with a text; ranges are refused by name.

Upstream: staging/src/k8s.io/client-go/util/jsonpath
"""

import re
from dataclasses import dataclass
from typing import Any

from labkit.errors import LabError


@dataclass(frozen=True)
class Filter:
    """Those of a list's elements in which a text lies at a path of keys."""

    keys: tuple[str, ...]
    value: str


Step = str | int | Filter  # a key, an index, "*", or which elements

_TOKEN = re.compile(
    r"""\.(?P<key>[\w-]+|\*)|\[(?P<index>\d+|\*)\]|\[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]"""
    r"""|\[\?\(@\.(?P<filter>[\w.-]+)==(?P<mark>['"])(?P<value>.*?)(?P=mark)\)\]"""
)


def parse_path(path: str) -> tuple[Step, ...]:
    """Split a path into its steps; raises LabError naming what cannot be read."""
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    text = text if not text or text[0] in ".[" else f".{text}"
    steps: list[Step] = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise LabError(
                f"the path {path!r} cannot be read from {text[position:]!r} on",
                expected=""".key, [0], [*], ['a key with dots'] or [?(@.key=="text")]; ranges are not implemented""",
            )
        steps.append(_step(token))
        position = token.end()
    return tuple(steps)


def find_values(obj: Any, steps: tuple[Step, ...]) -> list[Any]:
    """Return all values at the path, in the object's order; none when a step is absent."""
    found = [obj]
    for step in steps:
        found = [value for parent in found for value in _children(parent, step)]
    return found


def _step(token: re.Match[str]) -> Step:
    if token["quoted"] is not None:
        return token["quoted"]
    if token["filter"]:
        return Filter(tuple(token["filter"].split(".")), token["value"])
    word = token["key"] or token["index"]
    return int(word) if token["index"] and word != "*" else word


def _children(parent: Any, step: Step) -> list[Any]:
    if isinstance(step, Filter):
        return [each for each in _children(parent, "*") if step.value in find_values(each, step.keys)]
    if step == "*":
        return list(parent.values()) if isinstance(parent, dict) else list(parent) if isinstance(parent, list) else []
    if isinstance(step, int):
        return [parent[step]] if isinstance(parent, list) and step < len(parent) else []
    return [parent[step]] if isinstance(parent, dict) and step in parent else []
