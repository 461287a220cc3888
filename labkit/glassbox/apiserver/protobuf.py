"""Protobuf request bodies, as typed clients send them: bytes to the dict that JSON would have given.

A body is "k8s\\0" and a runtime.Unknown envelope whose `raw` holds the object; message and field come from a table,
so a further kind is only data. An unknown field is an error: dropping it would lose what the client meant. Generated
code writes the zero of every field that is no pointer; the readers drop those, as they drop them from JSON.

Left out: protobuf answers. Every client takes JSON ones.

Upstream: staging/src/k8s.io/apimachinery/pkg/runtime/serializer/protobuf/protobuf.go
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from labkit.glassbox import clock

MAGIC = b"k8s\x00"
META = "k8s.io.apimachinery.pkg.apis.meta.v1"
PACKAGES = {  # the group's package, where it is not the group's own first word
    "": "k8s.io.api.core",
    "meta.k8s.io": "k8s.io.apimachinery.pkg.apis.meta",
    "apiextensions.k8s.io": "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "k8s.io.kube_aggregator.pkg.apis.apiregistration",
}
# Structs that Go embeds: in JSON their fields are those of the struct around them.
INLINED = frozenset(
    (
        "deviceConfiguration",
        "ephemeralContainerCommon",
        "handler",
        "ingressRuleValue",
        "localObjectReference",
        "persistentVolumeSource",
        "rule",
        "ruleWithOperations",
        "volumeSource",
    )
)
Field = tuple[str, str]  # name, type
WIRES = {"bool": 0, "int32": 0, "int64": 0, "double": 1}
PACKED = ("[]int32", "[]int64")


@lru_cache(maxsize=1)
def messages() -> dict[str, dict[int, Field]]:
    """Return message -> field number -> (name, type)."""
    table: dict[str, dict[int, Field]] = {}
    fields: dict[int, Field] = {}
    for line in (Path(__file__).parent / "protobuf_fields.txt").read_text().splitlines():
        if line.startswith("  "):
            number, name, kind = line.split(maxsplit=2)
            fields[int(number)] = (name, kind)
        elif line and not line.startswith("#"):
            fields = table[line] = {}
    return table


def decode(body: bytes) -> dict:
    """Return the object of a protobuf body. Raises ValueError in upstream's words."""
    if not body.startswith(MAGIC):
        raise ValueError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    envelope = read_message("k8s.io.apimachinery.pkg.runtime.Unknown", body[len(MAGIC) :])
    meta = envelope.get("typeMeta") or {}
    api_version, kind = meta.get("apiVersion", ""), meta.get("kind", "")
    raw = base64.b64decode(envelope.get("raw", ""))
    return {"kind": kind, "apiVersion": api_version, **read_message(message_of(api_version, kind), raw)}


def message_of(api_version: str, kind: str) -> str:
    """Return the message of a kind. Raises ValueError for one that is not in the table."""
    if kind == "DeleteOptions":  # sent under each group's own version
        return f"{META}.DeleteOptions"
    group, _, version = api_version.rpartition("/")
    package = PACKAGES.get(group, f"k8s.io.api.{group.removesuffix('.k8s.io').split('.')[0]}")
    name = f"{package}.{version}.{kind}"
    if name not in messages():
        raise ValueError(f'no kind "{kind}" is registered for version "{api_version}" among the protobuf messages')
    return name


def fields_of(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yield (field number, wire type, value) of a message. Raises ValueError if it is cut off."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        size = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            size, at = _varint(data, at)
        if size is None:
            raise ValueError(f"proto: illegal wireType {wire}")
        if at + size > len(data):
            raise ValueError("unexpected EOF")
        yield number, wire, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("unexpected EOF")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift >= 70:
            raise ValueError("proto: integer overflow")


def read_message(message: str, data: bytes) -> Any:
    """Return the JSON value of a message."""
    special = SPECIAL.get(message.removeprefix("k8s.io."))
    return special(_struct(message, data)) if special else _struct(message, data)


def _struct(message: str, data: bytes) -> dict[str, Any]:
    table, package = messages()[message], message.rpartition(".")[0]
    found: dict[str, Any] = {}
    for number, wire, value in fields_of(data):
        if number not in table:
            raise ValueError(f"proto: unknown field {number} of {message}")
        name, kind = table[number]
        if wire != wire_of(kind) and not (wire == 2 and kind in PACKED):
            raise ValueError(f"proto: wrong wireType = {wire} for field {name[0].upper()}{name[1:]}")
        if kind.startswith("[]"):
            found.setdefault(name, []).extend(_repeated(kind[2:], wire, value, package))
        elif kind.startswith("map "):
            key, entry = _map_entry(kind[4:], value, package)
            found.setdefault(name, {})[key] = entry
        elif name in INLINED and wire_of(kind) == 2 and kind != "string":  # a RuntimeClass's handler is a name
            found |= _scalar(kind, value, package)
        else:
            found[name] = _scalar(kind, value, package)
    return found


def wire_of(kind: str) -> int:
    """Return how a field of that type is written: 0 a number, 1 eight bytes, 2 as many as it says."""
    return WIRES.get(kind.removeprefix("[]"), 2)


def _repeated(kind: str, wire: int, value: Any, package: str) -> list:
    if wire == 2 and kind in ("int32", "int64"):
        numbers, at = [], 0
        while at < len(value):
            number, at = _varint(value, at)
            numbers.append(_signed(number))
        return numbers
    return [_scalar(kind, value, package)]


def _map_entry(kind: str, data: bytes, package: str) -> tuple[str, Any]:
    key, entry = "", _scalar(kind, b"", package)
    for number, wire, value in fields_of(data):
        if wire != 2:
            raise ValueError(f"proto: wrong wireType = {wire} for a map's entry")
        if number == 1:
            key = value.decode()
        else:
            entry = _scalar(kind, value, package)
    return key, entry


def _scalar(kind: str, value: Any, package: str) -> Any:
    if kind == "string":
        return value.decode()
    if kind == "bool":
        return bool(value)
    if kind in ("int32", "int64"):
        return _signed(value)
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "double":
        number = struct.unpack("<d", value)[0]
        return int(number) if number.is_integer() else number  # as Go writes it
    name = kind if kind in messages() else f"{package}.{kind}"
    return read_message(name, value)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


# --- messages whose JSON is not an object


def _time(fields: dict, written: Callable[[float], str] = clock.rfc3339) -> str | None:
    if not fields.get("seconds"):
        return None
    try:
        return written(fields["seconds"] + fields.get("nanos", 0) / 1e9)
    except OverflowError:
        raise ValueError(f"Time.MarshalJSON: year outside of range [0,9999]: {fields['seconds']} seconds") from None


def _micro_time(fields: dict) -> str | None:
    return _time(fields, clock.rfc3339_micro)


def _int_or_string(fields: dict) -> int | str:
    return fields.get("strVal", "") if fields.get("type") else fields.get("intVal", 0)


def _raw_json(fields: dict) -> Any:
    return orjson.loads(base64.b64decode(next(iter(fields.values()), "")) or b"null")


def _schema_or_more(fields: dict) -> Any:
    """Return what stands in the place of a schema: schemas, names, one after all, or a boolean."""
    return next((fields[each] for each in ("jSONSchemas", "property", "schema", "allows") if each in fields), None)


def _texts(fields: dict) -> list[str]:
    return fields.get("items", [])


_SCHEMAS = "apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON"
SPECIAL: dict[str, Callable[[dict], Any]] = {
    _SCHEMAS: _raw_json,
    **{f"{_SCHEMAS}SchemaPropsOr{each}": _schema_or_more for each in ("Array", "Bool", "StringArray")},
    "api.authentication.v1.ExtraValue": _texts,
    "api.authorization.v1.ExtraValue": _texts,
    "api.certificates.v1.ExtraValue": _texts,
    "apimachinery.pkg.apis.meta.v1.Time": _time,
    "apimachinery.pkg.apis.meta.v1.MicroTime": _micro_time,
    "apimachinery.pkg.apis.meta.v1.FieldsV1": _raw_json,
    "apimachinery.pkg.api.resource.Quantity": lambda fields: fields.get("string", "0"),
    "apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "apimachinery.pkg.runtime.RawExtension": _raw_json,
}
