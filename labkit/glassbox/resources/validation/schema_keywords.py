"""What a definition's schema may say at all, place by place; whether it is structural says structural.py.

Upstream: ValidateCustomResourceDefinitionOpenAPISchema in
staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.structural import EMBEDDED, PRESERVE, TYPE_AND_METADATA
from labkit.glassbox.resources.validation import formats
from labkit.glassbox.resources.validation.fields import forbidden, invalid, one_of, required
from labkit.glassbox.resources.validation.schema_values import LIST_KEYS, LIST_TYPE

TYPES = ("array", "boolean", "integer", "number", "object", "string")
UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref", "$schema")
MAP_TYPE, RULES = "x-kubernetes-map-type", "x-kubernetes-validations"
COMBINATIONS = ("not", "allOf", "oneOf", "anyOf")
ATOMIC = "must be atomic as item of a list with x-kubernetes-list-type=set"
OF_KEY = f"this property is in {LIST_KEYS}, so it"


def check(
    schema: dict, path: str, no_default: str = "", is_root: bool = True, in_meta: bool = False
) -> Iterator[Cause]:
    """Yield what is wrong with the keywords; `no_default` says where a default may not be."""
    yield from _standard(schema, path, no_default, in_meta)
    yield from _keywords(schema, path)
    for name, each in (schema.get("properties") or {}).items():
        of_resource = name in TYPE_AND_METADATA and (is_root or bool(schema.get(EMBEDDED)))
        reason = f"in top-level {name}" if of_resource and is_root else no_default
        yield from check(each, f"{path}.properties[{name}]", reason, False, in_meta or of_resource)
    for keyword in ("additionalProperties", "items", *COMBINATIONS):
        inner = schema.get(keyword)
        reason = "inside additionalProperties applying to object metadata" if in_meta else no_default
        for at, each in _parts(inner, f"{path}.{keyword}"):
            yield from check(each, at, reason if keyword == "additionalProperties" else no_default, False, in_meta)
    if schema.get(PRESERVE) is False:
        yield invalid(f"{path}.{PRESERVE}", False, "must be true or undefined")
    yield from _lists(schema, path)
    for index, each in enumerate(schema.get(RULES) or ()):
        yield from _rule_texts(each, f"{path}.{RULES}[{index}]")


def is_structure(faults: list[Cause]) -> bool:
    """Tell whether a schema with these faults can be read as a structure at all."""
    return not any(each.message.endswith(("is not supported", "and not an array")) for each in faults)


def _parts(given: object, path: str) -> Iterator[tuple[str, dict]]:
    if isinstance(given, dict):
        yield path, given
    elif isinstance(given, list):
        yield from ((f"{path}[{index}]", each) for index, each in enumerate(given))


def _standard(schema: dict, path: str, no_default: str, in_meta: bool) -> Iterator[Cause]:
    yield from one_of(f"{path}.type", schema.get("type") or None, TYPES)
    if "default" in schema and no_default:
        yield forbidden(f"{path}.default", f"must not be set {no_default}")
    for keyword in UNSUPPORTED:
        if schema.get(keyword):
            yield forbidden(f"{path}.{keyword}", f"{keyword} is not supported")
    if schema.get("type") == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if in_meta and schema.get(EMBEDDED):
        yield forbidden(f"{path}.{EMBEDDED}", "must not be used inside of resource meta")


def _keywords(schema: dict, path: str) -> Iterator[Cause]:
    if schema.get("uniqueItems"):
        told = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", told)
    extra = schema.get("additionalProperties")
    if extra is not None and extra is not True and schema.get("properties"):
        told = "additionalProperties and properties are mutual exclusive"
        yield forbidden(f"{path}.additionalProperties", told)
    elif extra is False:
        yield forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false")
    if schema.get("pattern"):
        try:
            formats.pattern(schema["pattern"])
        except formats.BadPattern as error:
            told = f"must be a valid regular expression, but isn't: {error}"
            yield invalid(f"{path}.pattern", schema["pattern"], told)
    if schema.get("format") in formats.NOT_CHECKED_HERE:
        yield forbidden(f"{path}.format", f"{schema['format']} is not supported by this server; use a pattern")


def _of_type(schema: dict, path: str, wanted: str, keyword: str) -> Iterator[Cause]:
    kind, told = schema.get("type", ""), f"must be {wanted} if {keyword} is specified"
    if schema.get(keyword) is not None and kind != wanted:
        yield invalid(f"{path}.type", kind, told) if kind else required(f"{path}.type", told)


def _lists(schema: dict, path: str) -> Iterator[Cause]:
    yield from _of_type(schema, path, "object", MAP_TYPE)
    yield from one_of(f"{path}.{MAP_TYPE}", schema.get(MAP_TYPE), ("atomic", "granular"))
    yield from _of_type(schema, path, "array", LIST_TYPE)
    list_type, keys, items = schema.get(LIST_TYPE), schema.get(LIST_KEYS) or [], schema.get("items")
    if list_type == "set" and schema.get("type") == "array" and isinstance(items, dict):
        yield from _set_items(items, f"{path}.items")
    yield from one_of(f"{path}.{LIST_TYPE}", list_type, ("atomic", "set", "map"))
    if keys and list_type != "map":
        told = f"must be map if {LIST_KEYS} is non-empty"
        at = f"{path}.{LIST_TYPE}"
        yield required(at, told) if list_type is None else invalid(at, list_type, told)
    if list_type == "map":
        yield from _map(keys, items, path)
    if list_type in ("set", "map") and isinstance(items, dict):
        if items.get("nullable"):
            yield forbidden(f"{path}.items.nullable", f"cannot be nullable when {LIST_TYPE} is {list_type}")
        yield from _keys(keys if list_type == "map" else [], items, f"{path}.items")


def _set_items(items: dict, path: str) -> Iterator[Cause]:
    if items.get("type") == "array" and items.get(LIST_TYPE, "atomic") != "atomic":
        yield invalid(f"{path}.{LIST_TYPE}", items[LIST_TYPE], ATOMIC)
    if items.get("type") == "object" and items.get(MAP_TYPE) != "atomic":
        yield invalid(f"{path}.{MAP_TYPE}", items.get(LIST_TYPE), ATOMIC)


def _map(keys: list[str], items: object, path: str) -> Iterator[Cause]:
    if not keys:
        yield required(f"{path}.{LIST_KEYS}", f"must not be empty if {LIST_TYPE} is map")
    if items is None:
        yield required(f"{path}.items", f"must have a schema if {LIST_TYPE} is map")
    if not isinstance(items, dict):
        return
    if items.get("type") != "object":
        told = f"must be object if parent array's {LIST_TYPE} is map"
        yield invalid(f"{path}.items.type", items.get("type", ""), told)
        return
    for index, key in enumerate(keys):
        found = (items.get("properties") or {}).get(key)
        if found is None:
            yield invalid(f"{path}.{LIST_KEYS}", keys, "entries must all be names of item properties")
        elif found.get("type") in ("array", "object"):
            told = f"must be a scalar type if parent array's {LIST_TYPE} is map"
            yield invalid(f"{path}.items.properties[{key}].type", items["type"], told)
        if key in keys[:index]:
            yield invalid(f"{path}.{LIST_KEYS}", keys, "must not contain duplicate entries")


def _keys(keys: list[str], items: dict, path: str) -> Iterator[Cause]:
    fields = items.get("properties") or {}
    for key in keys:
        at, found = f"{path}.properties[{key}]", fields.get(key)
        if found is None:
            continue
        if "default" not in found and key not in (items.get("required") or ()):
            yield required(f"{at}.default", f"{OF_KEY} must have a default or be a required property")
        if found.get("nullable"):
            yield forbidden(f"{at}.nullable", f"{OF_KEY} cannot be nullable")


def _rule_texts(rule: dict, path: str) -> Iterator[Cause]:
    text, message, computed = (rule.get(field) for field in ("rule", "message", "messageExpression"))
    if not (text or "").strip():
        yield required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif "\n" in (message or "").strip():
        yield invalid(f"{path}.message", message, "message must not contain line breaks")
    elif "\n" in (text or "").strip() and not message:
        yield required(f"{path}.message", "message must be specified if rule contains line breaks")
    if computed and not computed.strip():
        yield required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
