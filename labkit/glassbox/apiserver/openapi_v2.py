"""The OpenAPI v2 document: all kinds in one, as JSON and as gnostic's protobuf, made from the same definitions as v3.

kubectl asks for it where v3 lacks a kind, and for `explain --output=plaintext-openapiv2`; client-go's discovery, for
its OpenAPISchema. It is big and seldom asked for, so it is made when it is asked for and not kept.

Upstream: k8s.io/kube-openapi/pkg/{builder,handler}, github.com/google/gnostic/openapiv2/OpenAPIv2.proto
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from labkit.glassbox.apiserver.definitions import definition
from labkit.glassbox.apiserver.openapi import closure, component
from labkit.glassbox.apiserver.openapi_pages import pages, resource_lists
from labkit.glassbox.apiserver.openapi_paths import paths_of, referred
from labkit.glassbox.resources import REGISTRY

DEFINITIONS = "#/definitions/"
EITHER = {  # definitions of two types, which v2 cannot say
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
}


def openapi_v2() -> dict:
    """Return the document."""
    served = REGISTRY.all()
    found = [*pages().values(), *resource_lists(served)]
    names = closure([name for each in served for name in referred(each)] + [page.answer for page in found])
    items = {page.path: page.item for page in found}
    items |= {at: item for each in served for at, item in paths_of(each).items()}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "1.36"},
        "paths": {at: _path(item) for at, item in items.items()},
        "definitions": {name: _definition(name) for name in sorted(names)},
    }


def _definition(name: str) -> dict:
    if name in EITHER:
        return {**EITHER[name], **{key: value for key, value in definition(name).items() if key == "description"}}
    return _schema(component(name))


def _schema(schema: Any) -> Any:
    """Return a schema of v3 as v2 writes it: a reference stands beside its description; what v2 lacks goes."""
    result = {key: value for key, value in schema.items() if key in MESSAGES["Schema"] or key.startswith("x-")}
    for link in (*schema.get("allOf", ()), schema):
        if "$ref" in link:
            result = {"$ref": DEFINITIONS + link["$ref"].rpartition("/")[2]} | _without(result, "$ref", "default")
    result.pop("allOf", None)
    for key in ("items", "additionalProperties"):
        if isinstance(result.get(key), dict):
            result[key] = _schema(result[key])
    if "properties" in result:
        result["properties"] = {name: _schema(each) for name, each in result["properties"].items()}
    return result


def _without(found: dict, *keys: str) -> dict:
    return {key: value for key, value in found.items() if key not in keys}


def _path(item: dict) -> dict:
    parameters = [_parameter(each) for each in item["parameters"]]
    return {**{verb: _operation(each) for verb, each in item.items() if verb != "parameters"}, "parameters": parameters}


def _parameter(told: dict) -> dict:
    return _without(told, "schema") | told["schema"]


def _operation(told: dict) -> dict:
    bodies = told.get("requestBody", {}).get("content", {})
    body = [{"name": "body", "in": "body", "required": True, "schema": _body(each)} for each in bodies.values()][:1]
    answers = {
        code: {"description": each["description"], "schema": _body(next(iter(each["content"].values())))}
        for code, each in told["responses"].items()
    }
    parameters = [*body, *(_parameter(each) for each in told.get("parameters", ()))]
    result = {**_without(told, "requestBody"), "parameters": parameters, "responses": answers}
    return result | {"consumes": list(bodies) or ["*/*"], "produces": ["application/json"]}


def _body(content: dict) -> dict:
    return _schema(content["schema"])


# --- as protobuf

Field = tuple[int, str]  # number, how its value is written
COMMON: dict[str, Field] = {
    "name": (4, "text"),
    "in": (2, "text"),
    "required": (1, "number"),
    "description": (3, "text"),
}
MESSAGES: dict[str, dict[str, Field]] = {
    "Document": {"swagger": (1, "text"), "info": (2, "Info"), "paths": (8, "paths"), "definitions": (9, "schemas")},
    "Info": {"title": (1, "text"), "version": (2, "text")},
    "PathItem": {
        **{verb: (number, "Operation") for number, verb in ((2, "get"), (3, "put"), (4, "post"), (5, "delete"))},
        "patch": (8, "Operation"),
        "parameters": (9, "parameter"),
    },
    "Operation": {
        "description": (3, "text"),
        "operationId": (5, "text"),
        "produces": (6, "text"),
        "consumes": (7, "text"),
        "parameters": (8, "parameter"),
        "responses": (9, "responses"),
        "x-": (13, "extension"),
    },
    "BodyParameter": {"name": (2, "text"), "in": (3, "text"), "required": (4, "number"), "schema": (5, "Schema")},
    "QueryParameter": {**COMMON, "type": (6, "text"), "uniqueItems": (20, "number")},
    "PathParameter": {**COMMON, "type": (5, "text"), "uniqueItems": (19, "number")},
    "Response": {"description": (1, "text"), "schema": (2, "wrapped")},
    "Schema": {
        "$ref": (1, "text"),
        "format": (2, "text"),
        "title": (3, "text"),
        "description": (4, "text"),
        "default": (5, "any"),
        "maximum": (7, "double"),
        "minimum": (9, "double"),
        "maxLength": (11, "number"),
        "minLength": (12, "number"),
        "pattern": (13, "text"),
        "maxItems": (14, "number"),
        "minItems": (15, "number"),
        "required": (19, "text"),
        "enum": (20, "any"),
        "additionalProperties": (21, "additional"),
        "type": (22, "listed"),
        "items": (23, "wrapped"),
        "properties": (25, "schemas"),
        "x-": (31, "extension"),
    },
}


def encode(message: str, value: dict) -> bytes:
    """Return a message of gnostic's; what it has no field for is left out."""
    fields, out = MESSAGES[message], []
    for name, each in value.items():
        number, kind = fields.get("x-" if name.startswith("x-") else name, (0, ""))
        if kind == "extension":
            out.append(_block(number, _named(name, _any(each))))
        elif number:
            several = isinstance(each, list) and kind != "listed"
            out += [_written(number, kind, one) for one in (each if several else [each])]
    return b"".join(out)


def _written(number: int, kind: str, value: Any) -> bytes:
    if kind == "number":
        return _varint(number << 3) + _varint(int(value))
    if kind == "double":
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    return _block(number, WRITERS[kind](value) if kind in WRITERS else encode(kind, value))


def _parameter_item(told: dict) -> bytes:
    """Return a ParametersItem: a parameter is told by its place, each place has a message of its own."""
    if told["in"] == "body":
        return _block(1, _block(1, encode("BodyParameter", told)))
    number, message = (4, "PathParameter") if told["in"] == "path" else (3, "QueryParameter")
    return _block(1, _block(2, _block(number, encode(message, told))))


def _additional(value: Any) -> bytes:
    return _varint(2 << 3) + _varint(int(value)) if isinstance(value, bool) else _block(1, encode("Schema", value))


def _any(value: Any) -> bytes:
    return _block(2, orjson.dumps(value))  # JSON is YAML


def _map(number: int, entries: Iterable[tuple[str, bytes]]) -> bytes:
    return b"".join(_block(number, _named(name, value)) for name, value in entries)


def _named(name: str, value: bytes) -> bytes:
    return _block(1, name.encode()) + _block(2, value)


def _block(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


WRITERS: dict[str, Callable[[Any], bytes]] = {
    "text": str.encode,
    "any": _any,
    "additional": _additional,
    "listed": lambda name: _block(1, name.encode()),
    "wrapped": lambda schema: _block(1, encode("Schema", schema)),
    "parameter": _parameter_item,
    "schemas": lambda found: _map(1, ((name, encode("Schema", each)) for name, each in found.items())),
    "paths": lambda found: _map(2, ((at, encode("PathItem", each)) for at, each in found.items())),
    "responses": lambda found: _map(1, ((code, _block(1, encode("Response", each))) for code, each in found.items())),
}
