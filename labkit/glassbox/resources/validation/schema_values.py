"""Whether a value is as its schema says, in the words of upstream's validator.

On an update, what has not changed is not checked again (ratcheting): an object that a newer schema would refuse can
still be written, as long as its faults are left alone. Fields are checked in alphabetical order; upstream's order is
that of a Go map.

Upstream: k8s.io/kube-openapi/pkg/validation/validate,
staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/validation
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.structural import EMBEDDED, below, schema_of
from labkit.glassbox.resources.validation import metadata, names
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    invalid,
    required,
    shown,
    too_long,
    too_many,
    unsupported,
)
from labkit.glassbox.resources.validation.formats import FORMATS, BadPattern, pattern

NOTHING: Any = object()  # there is no older value
IDENTITY = ("apiVersion", "kind")
NOWHERE = "<nil>"  # the path of a fault that has none
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE, LIST_KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
BLOCKING = (
    *("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany"),
    "FieldValueTypeInvalid",
)
KINDS: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer"}
LIMITS = {"int32": 2**31, "int64": 2**63}


def check(value: Any, schema: dict, path: str = "", old: Any = NOTHING) -> Iterator[Cause]:
    """Yield what is wrong with a value that replaces `old`."""
    if old is not NOTHING and same(value, old):
        return
    yield from _type(value, schema, path)
    yield from _combinations(value, schema, path)
    if isinstance(value, str):
        yield from _text(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path, old)
    if schema.get("enum") and value is not None and not any(same(value, each) for each in schema["enum"]):
        supported = [each if isinstance(each, str) else shown(each) for each in schema["enum"]]
        yield unsupported(path, value, supported)
    if isinstance(value, dict):
        yield from _object(value, schema, path, old)


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same: 1 is not true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(each, other[name]) for name, each in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def kind_of(value: Any) -> str:
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return "null" if value is None else KINDS[type(value)]


def go_number(value: float) -> str:
    """Return a bound as Go's %v prints a float64."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e21 else f"{value:g}"


def _type(value: Any, schema: dict, path: str) -> Iterator[Cause]:
    kind, wanted = kind_of(value), [schema["type"]] if schema.get("type") else []
    if schema.get(INT_OR_STRING):
        wanted = ["integer", "string"]
    if value is None and schema.get("nullable"):
        return
    if wanted and kind not in wanted and not (kind == "integer" and "number" in wanted):
        told = f'{path} in body must be of type {",".join(wanted)}: "{kind}"'
        yield Cause("FieldValueTypeInvalid", f'Invalid value: "{kind}": {told}', path or NOWHERE)


def _combinations(value: Any, schema: dict, path: str) -> Iterator[Cause]:
    def fits(part: dict) -> list[Cause]:
        return list(check(value, part, path))

    def cause(told: str) -> Cause:
        return invalid(NOWHERE, "", f'"{path}" must {told}')

    if parts := schema.get("anyOf"):
        found = [fits(each) for each in parts]
        if all(found):
            yield cause("validate at least one schema (anyOf)")
            yield from min(found, key=len)
    if parts := schema.get("oneOf"):
        found = [fits(each) for each in parts]
        if (valid := found.count([])) != 1:
            told = f"Found {valid} valid alternatives" if valid else "Found none valid"
            yield cause(f"validate one and only one schema (oneOf). {told}")
            yield from [] if valid else min(found, key=len)
    if parts := schema.get("allOf"):
        found = [fits(each) for each in parts]
        yield from (each for faults in found for each in faults)
        if any(found):
            yield cause("validate all the schemas (allOf)" + (". None validated" if all(found) else ""))
    if schema.get("not") is not None and not fits(schema["not"]):
        yield cause("not validate the schema (not)")


def _unmatched(value: str, wanted: str) -> str:
    """Return the pattern that a text does not match, "" if it does."""
    try:
        return "" if pattern(wanted).search(value) else wanted
    except BadPattern as error:
        return f"{wanted}, but pattern is invalid: {error}"


def _text(value: str, schema: dict, path: str) -> Iterator[Cause]:
    if (limit := schema.get("maxLength")) is not None and len(value) > limit:
        yield too_long(path or NOWHERE, limit)
    if (limit := schema.get("minLength")) is not None and len(value) < limit:
        yield invalid(path or NOWHERE, value, f"{path} in body should be at least {limit} chars long")
    if schema.get("pattern") and (wanted := _unmatched(value, schema["pattern"])):
        yield invalid(path or NOWHERE, value, f"{path} in body should match '{wanted}'")
    form = schema.get("format", "")
    if form in FORMATS and not FORMATS[form](value):
        told = f"{path} in body must be of type {form}: {shown(value)}"
        yield Cause("FieldValueTypeInvalid", f"Invalid value: {shown(value)}: {told}", path or NOWHERE)


def _number(value: float, schema: dict, path: str) -> Iterator[Cause]:
    kind, form = schema.get("type"), schema.get("format", "")
    limit = LIMITS.get(form, 2**63)
    if kind == "integer" and (kind_of(value) != "integer" or not -limit <= value < limit):
        told = f"with format {form}" if form else "(default format)"
        yield invalid(NOWHERE, "", f"Checked value must be of type integer {told} in {path}")
    if (factor := schema.get("multipleOf")) and value % factor:
        yield invalid(path or NOWHERE, value, f"{path} in body should be a multiple of {go_number(factor)}")
    if (bound := schema.get("maximum")) is not None:
        strict = schema.get("exclusiveMaximum")
        if value > bound or (strict and value == bound):
            told = "less than" if strict else "less than or equal to"
            yield invalid(path or NOWHERE, value, f"{path} in body should be {told} {go_number(bound)}")
    if (bound := schema.get("minimum")) is not None:
        strict = schema.get("exclusiveMinimum")
        if value < bound or (strict and value == bound):
            told = "greater than" if strict else "greater than or equal to"
            yield invalid(path or NOWHERE, value, f"{path} in body should be {told} {go_number(bound)}")


def _list(value: list, schema: dict, path: str, old: Any) -> Iterator[Cause]:
    for index, item in enumerate(value):
        if isinstance(inner := schema.get("items"), dict):
            yield from check(item, inner, f"{path}[{index}]", counterpart(item, schema, old))
    if (limit := schema.get("maxItems")) is not None and len(value) > limit:
        yield too_many(path or NOWHERE, len(value), limit)
    if (limit := schema.get("minItems")) is not None and len(value) < limit:
        yield invalid(path or NOWHERE, len(value), f"{path} in body should have at least {limit} items")


def counterpart(item: Any, schema: dict, old: Any) -> Any:
    """Return what an item of a list was before: of a map, the one with the same keys; of others nothing is known."""
    if schema.get(LIST_TYPE) != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return NOTHING
    wanted = map_key(item, schema)
    return next((each for each in old if isinstance(each, dict) and map_key(each, schema) == wanted), NOTHING)


def map_key(item: dict, schema: dict) -> dict:
    return {name: item[name] for name in schema.get(LIST_KEYS) or () if name in item}


def _object(value: dict, schema: dict, path: str, old: Any) -> Iterator[Cause]:
    if (limit := schema.get("maxProperties")) is not None and len(value) > limit:
        yield too_many(path or NOWHERE, len(value), limit)
    if (limit := schema.get("minProperties")) is not None and len(value) < limit:
        yield invalid(path or NOWHERE, len(value), f"{path} in body should have at least {limit} properties")
    for name in schema.get("required") or ():
        if name not in value:
            yield required(f"{path}.{name}" if path else name)
    before = old if isinstance(old, dict) else {}
    for name in sorted(value):
        if (inner := schema_of(name, schema)) is not None:
            yield from check(value[name], inner, f"{path}.{name}" if path else name, before.get(name, NOTHING))


# --- what the structure asks beyond the schema


def check_embedded(value: Any, schema: dict, path: str = "") -> Iterator[Cause]:
    """Yield what is wrong with an embedded resource: it says what it is, and its metadata is as any resource's."""
    if isinstance(value, dict) and schema.get(EMBEDDED):
        yield from (required(f"{path}.{name}") for name in IDENTITY if name not in value)
        for name in (each for each in IDENTITY if each in value):
            yield from (invalid(f"{path}.{name}", value[name], told) for told in _identity_faults(name, value[name]))
        if "metadata" in value:
            found = metadata.validate({"name": "fakename"} | value["metadata"], names.path_segment, False)
            yield from (replace(each, field=f"{path}.{each.field}") for each in found)
    for item, inner, at in below(value, schema, path):
        yield from check_embedded(item, inner, at)


def _identity_faults(name: str, text: Any) -> list[str]:
    """Return what is wrong with an apiVersion or a kind."""
    if not isinstance(text, str):
        return ["must be a string"]
    if not text:
        return ["must not be empty"]
    if name == "apiVersion":
        return [f"unexpected GroupVersion string: {text}"] if text.count("/") > 1 else []
    faults = ",".join(names.dns_1035_label(text.lower()))
    return [f"may have mixed case, but should otherwise match: {faults}"] if faults else []


def check_lists(value: Any, schema: dict, path: str = "") -> Iterator[Cause]:
    """Yield the items of sets and maps that are there twice."""
    if isinstance(value, list) and schema.get(LIST_TYPE) in ("set", "map"):
        seen: set[str] = set()
        for index, item in enumerate(value):
            key = map_key(item, schema) if schema[LIST_TYPE] == "map" and isinstance(item, dict) else item
            written = json.dumps(key, sort_keys=True)
            if written in seen:
                yield duplicate(f"{path}[{index}]", key)
            seen.add(written)
    for item, inner, at in below(value, schema, path):
        yield from check_lists(item, inner, at)
