"""Whether the schema of a CustomResourceDefinition is structural: it specifies each field once, with its type.

Left out: `isbn` and `creditcard` formats, and what Python's regular expressions lack of RE2's: refused by name.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go,
…/pkg/apiserver/schema/validation.go, …/schema/defaulting/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import structural
from labkit.glassbox.resources.structural import EMBEDDED, PRESERVE
from labkit.glassbox.resources.validation import formats, rule_costs, rules, schema_keywords, schema_values
from labkit.glassbox.resources.validation.fields import forbidden, invalid, required
from labkit.glassbox.resources.validation.schema_values import INT_OR_STRING, LIST_KEYS, LIST_TYPE, NOWHERE

COMBINATIONS = ("allOf", "anyOf", "oneOf")
# What only the structure itself may say, not what stands within a combination; and what it has to be there.
STRUCTURE = {
    **dict.fromkeys(("type", "title", "description", "format"), "empty"),
    **dict.fromkeys(
        ("default", "additionalProperties", PRESERVE, LIST_TYPE, LIST_KEYS, "x-kubernetes-map-type"), "undefined"
    ),
    **dict.fromkeys(("nullable", EMBEDDED, INT_OR_STRING), "false"),
}
INT_OR_STRING_PARTS = [{"type": "integer"}, {"type": "string"}]
METADATA_RULE = "must not specify anything other than name and generateName, but metadata is implicitly specified"


def check(schema: dict, path: str) -> Iterator[Cause]:
    """Yield what is wrong with a version's schema."""
    if schema.get("nullable"):
        yield forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    faults = list(schema_keywords.check(schema, path))
    yield from faults
    costs: list[tuple[str, int]] = []
    yield from _rules(schema, path, costs, 1, [each.field for each in faults], is_root=True)
    yield from rule_costs.too_expensive(costs, path)
    if schema_keywords.is_structure(faults):
        unstructured = list(_root(schema, path))
        yield from unstructured or _defaults(schema, path)


def _root(schema: dict, path: str) -> Iterator[Cause]:
    yield from _specified(schema, path, "", is_root=True)
    if not schema.get("type") and not schema.get(PRESERVE):
        yield required(f"{path}.type", "must not be empty at the root")
    if schema.get("type") not in (None, "", "object"):
        yield invalid(f"{path}.type", schema["type"], "must be object at the root")
    if isinstance(schema.get("additionalProperties"), dict | bool):
        yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
    yield from _own_fields(schema, path)
    meta = (schema.get("properties") or {}).get("metadata")
    if meta is not None and (
        set(meta.get("properties") or ()) - {"name", "generateName"} or set(meta) - {"type", "properties"}
    ):
        yield forbidden(f"{path}.properties[metadata]", METADATA_RULE)


def _own_fields(schema: dict, path: str) -> Iterator[Cause]:
    """Check what a resource's own schema says of what every resource has."""
    for name, wanted in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
        found = (schema.get("properties") or {}).get(name)
        if found is not None and found.get("type") != wanted:
            yield invalid(f"{path}.properties[{name}].type", found.get("type", ""), f"must be {wanted}")


def inner_schemas(schema: dict, path: str) -> Iterator[tuple[dict, str, str]]:
    """Yield the schemas of fields and items, with their paths and what they are."""
    for name, each in (schema.get("properties") or {}).items():
        yield each, f"{path}.properties[{name}]", "object fields"
    for keyword, what in (("additionalProperties", "object fields"), ("items", "array items")):
        if isinstance(each := schema.get(keyword), dict):
            yield each, f"{path}.{keyword}", what


def _specified(schema: dict, path: str, what: str, is_root: bool = False) -> Iterator[Cause]:
    kind = schema.get("type", "")
    if not kind and what and not schema.get(INT_OR_STRING) and not schema.get(PRESERVE):
        yield required(f"{path}.type", f"must not be empty for specified {what}")
    if kind == "array" and schema.get("items") is None:
        yield required(f"{path}.items", "must be specified")
    yield from _extensions(schema, path, kind)
    if schema.get(EMBEDDED):
        yield from _own_fields(schema, path)
    for keyword in (*COMBINATIONS, "not"):
        yield from _combined(schema, schema, keyword, path, path)
    for each, at, inner in inner_schemas(schema, path):
        if not (is_root and at.endswith("[metadata]")):
            yield from _specified(each, at, inner)


def _defaults(schema: dict, path: str, is_root: bool = True) -> Iterator[Cause]:
    if "default" in schema and schema.get("type") in schema_keywords.TYPES and not is_root:
        yield from _default(schema, path)
    for each, at, _ in inner_schemas(schema, path):
        if not (is_root and at.endswith("[metadata]")):
            yield from _defaults(each, at, False)


def _rules(
    schema: dict,
    path: str,
    costs: list[tuple[str, int]],
    bound: int | None,
    faulty: list[str],
    is_root: bool = False,
    broken_at: str = "",
) -> Iterator[Cause]:
    """Check the rules in a schema; where it has a fault, at this place or below, they cannot be."""
    if schema.get(rules.RULES) and not any(each.startswith(path) for each in faulty):
        yield from rules.check(schema, path, is_root, broken_at, bound, costs)
    if schema.get("type") == "array" and schema.get(LIST_TYPE) != "map":
        broken_at = broken_at or path
    for each, at, _ in inner_schemas(schema, path):
        many = {"items": "maxItems", "additionalProperties": "maxProperties"}.get(at.rpartition(".")[2])
        limit = schema.get(many) if many else 1
        within = None if bound is None or limit is None else bound * limit
        yield from _rules(each, at, costs, within, faulty, False, broken_at)


def _extensions(schema: dict, path: str, kind: str) -> Iterator[Cause]:
    if schema.get(INT_OR_STRING) and kind:
        yield forbidden(f"{path}.type", f"must be empty if {INT_OR_STRING} is true")
    if schema.get(PRESERVE) and kind not in ("", "object"):
        yield invalid(f"{path}.type", kind, f"must be object if {PRESERVE} is true")
    if schema.get(EMBEDDED):
        if kind != "object":
            told = f"must be object if {EMBEDDED} is true"
            yield invalid(f"{path}.type", kind, told) if kind else required(f"{path}.type", told)
        if schema.get("additionalProperties") is not None:
            yield forbidden(f"{path}.additionalProperties", f"must not be used if {EMBEDDED} is set")
        if not schema.get(PRESERVE) and not schema.get("properties"):
            told = f"must not be empty if {EMBEDDED} is true without {PRESERVE}"
            yield required(f"{path}.properties", told)


def _combined(schema: dict, skeleton: dict, keyword: str, path: str, skeleton_path: str) -> Iterator[Cause]:
    """Check what stands within allOf, anyOf, oneOf or not: only values may be spoken of there."""
    given = schema.get(keyword)
    parts = [(given, f"{path}.{keyword}")] if isinstance(given, dict) else []
    if isinstance(given, list):
        parts = [(each, f"{path}.{keyword}[{index}]") for index, each in enumerate(given)]
    either = skeleton.get(INT_OR_STRING) and keyword == "anyOf" and given == INT_OR_STRING_PARTS
    for part, at in [] if either else parts:
        yield from _values_only(part, skeleton, at, skeleton_path)


def _values_only(part: dict, skeleton: dict, path: str, skeleton_path: str) -> Iterator[Cause]:
    for keyword, wanted in STRUCTURE.items():
        if keyword in part and part[keyword] not in ("", False):
            yield forbidden(f"{path}.{keyword}", f"must be {wanted} to be structural")
    for keyword in (*COMBINATIONS, "not"):
        yield from _combined(part, skeleton, keyword, path, skeleton_path)
    for each, at, _ in inner_schemas(part, path):
        below = at.removeprefix(path)
        name = below[len(".properties[") : -1] if below.startswith(".properties[") else ""
        inner: Any = structural.schema_of(name, skeleton) if name else skeleton.get(below[1:])
        if inner is None:
            yield required(skeleton_path + below, f"because it is defined in {at}")
        elif isinstance(inner, dict):
            yield from _values_only(each, inner, at, skeleton_path + below)


def _default(schema: dict, path: str) -> Iterator[Cause]:
    """Check that a default is a value that an object may have."""
    given, at = schema["default"], f"{path}.default"
    pruned = deepcopy(given)
    if structural.prune(pruned, schema, is_root=False):
        yield invalid(at, given, "must not have unknown fields")
        return
    structural.fill(pruned, schema)
    found = [*schema_values.check(pruned, schema), *schema_values.check_lists(pruned, schema)]
    for cause in found or rules.broken(pruned, schema, is_root=False):
        yield replace(cause, field=at if cause.field in ("", NOWHERE) else f"{at}.{cause.field}")


def unknown_formats(schema: dict) -> Iterator[str]:
    """Yield a warning for each format that nobody checks."""
    form, known = (
        schema.get("format"),
        formats.OF_NUMBERS if schema.get("type") in ("integer", "number") else formats.FORMATS,
    )
    if form and form not in known:
        yield f'unrecognized format "{form}"'
    for each, _, _ in inner_schemas(schema, ""):
        yield from unknown_formats(each)
