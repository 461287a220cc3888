"""Reads a value as the Go struct of its definition would be read.

Each definition is compiled, once, into a function that copies a value: a wrong type is refused, an unknown field noted
and dropped, quantities and times brought to their normal form; and what Go leaves out when it writes is left out: null,
"", [], an empty map, and 0 or false where the field is no pointer.

Upstream: sigs.k8s.io/json, staging/src/k8s.io/apimachinery/pkg/api/resource, …/apis/meta/v1/time.go
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from labkit.glassbox import quantity
from labkit.glassbox.apiserver import times
from labkit.glassbox.apiserver.definitions import definition, reference, short_name, type_of
from labkit.glassbox.apiserver.pointers import is_written_empty

LIMITS = {"int32": 2**31, "int64": 2**63}


class Mismatch(Exception):
    """A value of another type than its field: (path as Go tells it, what it is, the field's Go type)."""


class WrongType(ValueError):
    """A mismatch with the struct's name, in the words of Go's decoder."""


@dataclass
class Notes:
    """What is noted while an object is read: fields that its kind does not have, and how many keys there were."""

    unknown: list[str] = field(default_factory=list)
    keys: int = 0


# (value, its path with indices, its path as Go tells it, notes) → the value in its normal form
Reader = Callable[[Any, str, str, Notes], Any]


class Map(dict):
    """A map, which Go leaves out when it is empty, unlike a struct."""


def kind_of(value: Any) -> str:
    """Return what JSON calls a value, a number with its digits where those are the matter."""
    return {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")


@cache
def struct(name: str) -> Reader:
    """Return the reader of a definition's objects."""
    if name in SPECIAL:
        return SPECIAL[name]
    schema = definition(name)
    if "properties" not in schema:
        return anything
    return _Struct(name, schema).read


class _Struct:
    """One definition; its fields are compiled when first met, since definitions refer to themselves."""

    def __init__(self, name: str, schema: dict):
        self.name, self.go_type = name.split(".")[-1], short_name(name)
        self.properties: dict[str, dict] = schema["properties"]
        self.required = frozenset(schema.get("required", ()))
        self.fields: dict[str, Reader] = {}

    def read(self, value: Any, path: str, told: str, notes: Notes) -> dict:
        if not isinstance(value, dict):
            raise Mismatch(told, kind_of(value), self.go_type)
        notes.keys += len(value)
        result = {}
        for key, item in value.items():
            at = f"{path}.{key}" if path else key
            read = self.fields.get(key) or self.compile(key)
            if read is None:
                notes.unknown.append(at)
                notes.keys += count_keys(item)
            elif item is not None:
                item = self.read_field(read, item, at, f"{told}.{key}" if told else key, notes)
                if item or not self.is_left_out(key, item):
                    result[key] = item
        return result

    def compile(self, key: str) -> Reader | None:
        if key in self.properties:
            self.fields[key] = reader(self.properties[key])
        return self.fields.get(key)

    def is_left_out(self, key: str, item: Any) -> bool:
        """Tell whether Go would not write a field with this empty value."""
        if key in self.required:
            return False
        if isinstance(item, dict):
            return isinstance(item, Map)
        return not is_written_empty(self.name, key, text=isinstance(item, str | list))

    def read_field(self, read: Reader, item: Any, path: str, told: str, notes: Notes) -> Any:
        try:
            return read(item, path, told, notes)
        except Mismatch as error:
            where, given, wanted = error.args
            message = f"json: cannot unmarshal {given} into Go struct field {self.name}.{where} of type {wanted}"
            raise WrongType(message) from None


def count_keys(value: Any) -> int:
    """Count the keys of all objects in a value."""
    if isinstance(value, dict):
        return len(value) + sum(map(count_keys, value.values()))
    return sum(map(count_keys, value)) if isinstance(value, list) else 0


# -- fields


def reader(schema: dict) -> Reader:
    """Return the reader of a field's schema."""
    if name := reference(schema):
        return struct(name)
    kind = type_of(schema)
    if kind == "array":
        return list_of(schema["items"])
    if kind == "object":
        return map_of(schema["additionalProperties"]) if schema.get("additionalProperties") else anything
    if kind == "integer":
        return integer(schema.get("format", "int64"))
    if kind == "string" and schema.get("format") == "byte":
        return base64_text
    return {"string": string, "boolean": boolean}.get(kind, anything)


def go_type(schema: dict) -> str:
    """Return how Go names the type of a field."""
    if name := reference(schema):
        return short_name(name)
    kind = type_of(schema)
    if kind == "array":
        return f"[]{go_type(schema['items'])}"
    if kind == "object":
        return f"map[string]{go_type(schema.get('additionalProperties') or {'type': 'string'})}"
    if schema.get("format") == "byte":
        return "[]uint8"
    return {"string": "string", "boolean": "bool"}.get(kind) or schema.get("format", "int64")


def list_of(items: dict) -> Reader:
    read, wanted = reader(items), f"[]{go_type(items)}"

    def read_list(value: Any, path: str, told: str, notes: Notes) -> list:
        if not isinstance(value, list):
            raise Mismatch(told, kind_of(value), wanted)
        return [read(item, f"{path}[{index}]", told, notes) for index, item in enumerate(value)]

    return read_list


def map_of(values: dict) -> Reader:
    read, wanted, zero = reader(values), f"map[string]{go_type(values)}", zero_of(values)

    def read_map(value: Any, path: str, told: str, notes: Notes) -> Map:
        if not isinstance(value, dict):
            raise Mismatch(told, kind_of(value), wanted)
        notes.keys += len(value)
        present = {key: zero if value[key] is None else value[key] for key in sorted(value)}  # Go writes them sorted
        return Map(
            (key, None if item is None else read(item, f"{path}.{key}", told, notes)) for key, item in present.items()
        )

    return read_map


def zero_of(values: dict) -> Any:
    """Return what a map's entry is of which JSON says null."""
    if name := reference(values):
        return {f"{META}Time": None, QUANTITY: "0"}.get(name, {})
    return {"string": "", "array": []}.get(type_of(values) or "")


def string(value: Any, path: str, told: str, notes: Notes) -> str:
    if not isinstance(value, str):
        raise Mismatch(told, kind_of(value), "string")
    return value


def boolean(value: Any, path: str, told: str, notes: Notes) -> bool:
    if not isinstance(value, bool):
        raise Mismatch(told, kind_of(value), "bool")
    return value


def integer(form: str) -> Reader:
    limit = LIMITS[form]

    def read_integer(value: Any, path: str, told: str, notes: Notes) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Mismatch(told, kind_of(value), form)
        if isinstance(value, float) or not -limit <= value < limit:
            raise Mismatch(told, f"number {value}", form)
        return value

    return read_integer


def base64_text(value: Any, path: str, told: str, notes: Notes) -> str:
    if not isinstance(value, str):
        raise Mismatch(told, kind_of(value), "[]uint8")
    try:
        return base64.b64encode(base64.b64decode(value.translate(LINE_ENDS), validate=True)).decode()
    except (binascii.Error, ValueError):
        raise ValueError(f"illegal base64 data at input byte {_first_illegal(value)}") from None


def _first_illegal(text: str) -> int:
    legal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n"
    return next((index for index, letter in enumerate(text) if letter not in legal), len(text))


def anything(value: Any, path: str, told: str, notes: Notes) -> Any:
    notes.keys += count_keys(value)
    return value


def schema_or_more(value: Any, path: str, told: str, notes: Notes) -> Any:
    """Read a schema where a boolean, or a list of schemas, may stand too."""
    if isinstance(value, list):
        return [schema_or_more(each, f"{path}[{index}]", told, notes) for index, each in enumerate(value)]
    return (struct(SCHEMA_PROPS) if isinstance(value, dict) else anything)(value, path, told, notes)


def read_quantity(value: Any, path: str, told: str, notes: Notes) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(quantity.SYNTAX)
    return quantity.canonical(value)


def int_or_string(value: Any, path: str, told: str, notes: Notes) -> int | str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Mismatch(told, kind_of(value), "int32")
    return value


def time(value: Any, path: str, told: str, notes: Notes) -> str | None:
    if not isinstance(value, str):
        raise Mismatch(told, kind_of(value), "string")
    return times.time(value)


def micro_time(value: Any, path: str, told: str, notes: Notes) -> str | None:
    if not isinstance(value, str):
        raise Mismatch(told, kind_of(value), "string")
    return times.micro_time(value)


LINE_ENDS = dict.fromkeys(map(ord, "\r\n"))  # base64 may be broken into lines
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
SCHEMA_PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
SPECIAL: dict[str, Reader] = {
    QUANTITY: read_quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": int_or_string,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": anything,
    META + "Time": time,
    META + "MicroTime": micro_time,
    META + "FieldsV1": anything,
    **{f"{SCHEMA_PROPS}Or{each}": schema_or_more for each in ("Bool", "Array", "StringArray")},
}
