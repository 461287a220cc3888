"""A part of an object as Go prints the API server's own struct of it: error texts quote them whole.

Such a struct has the same fields as the API's, in an order of its own, and shows those that nobody set.

Upstream: pkg/apis/core/types.go; staging/src/k8s.io/apimachinery/pkg/util/diff/diff.go
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation.fields import HTML, IMMUTABLE, invalid

TABLE = Path(__file__).parent / "internal_structs.txt"
FIELD = re.compile(r'(\w+)(?:<(\w+))?(?::\[(\w+)\]|:(\w+)|=([A-Z]\w+)|=(""|"0"|0|false))?(\?)?')
OF_THE_HOST = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")


class Field(NamedTuple):
    """`key` is its name in the API in small letters, `held` what it holds a list, a pointer or one of."""

    name: str
    key: str
    listed: str
    pointed: str
    held: str
    unset: Any
    optional: bool


@cache
def structs() -> dict[str, list[Field]]:
    """Return the table: a struct's name → its fields."""
    lines = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return {name: list(map(_field, fields)) for name, *fields in lines}


def _field(text: str) -> Field:
    found = FIELD.fullmatch(text)
    assert found, f"{TABLE.name}: {text!r} is no field"
    name, key, listed, pointed, held, unset, optional = found.groups("")
    return Field(name, (key or name).lower(), listed, pointed, held, json.loads(unset or "null"), bool(optional))


def struct(kind: str, given: dict | None) -> dict:
    """Return a part of an object as the struct `kind`."""
    given = {key.lower(): value for key, value in (_as_internal(kind, given or {})).items()}
    pairs = ((field, _value(field, given.get(field.key))) for field in structs()[kind])
    return {field.name: value for field, value in pairs if value is not None or not field.optional}


def _as_internal(kind: str, given: dict) -> dict:
    """Move what the API has elsewhere: a pod's share of its host lies in the security context."""
    if kind != "PodSpec":
        return given
    host = {field: given[field] for field in OF_THE_HOST if field in given}
    return {**given, "securityContext": {**(given.get("securityContext") or {}), **host}}


def _value(field: Field, given: Any) -> Any:
    if field.held:
        return struct(field.held, given)
    if given in (None, [], {}) and not (field.pointed and given == {}):
        return field.unset
    if field.pointed:
        return struct(field.pointed, given)
    if field.listed:
        return [struct(field.listed, each) for each in given]
    return dict(sorted(given.items())) if isinstance(given, dict) else given


def difference(kind: str, old: dict, new: dict) -> str:
    """Return what differs between two structs as a unified diff of their JSON; nothing where nothing does."""
    before, after = (_lines(struct(kind, each)) for each in (old, new))
    return "".join(f"{line}\n" for line in list(difflib.unified_diff(before, after, lineterm=""))[2:])


def _lines(value: dict) -> list[str]:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return re.sub("[<>&]", lambda found: HTML[found[0]], text).splitlines()


def unchanged(path: str, new: Any, old: Any, kind: str = "", told: str = IMMUTABLE) -> Iterator[Cause]:
    """Refuse another value than there was, shown as the struct `kind` if it is one."""
    shown, held = (struct(kind, each) if kind and each is not None else each for each in (new, old))
    if shown != held:
        yield invalid(path, shown, told)
