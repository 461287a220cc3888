"""What the definitions say of an object: whether its fields exist and have the right types, and how lists are merged.

What a value *means* is not looked at here: defaults.py fills in, strategies validate.

Upstream: staging/src/k8s.io/apimachinery/pkg/runtime/serializer/json
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.glassbox.apiserver.defaults import apply_defaults
from labkit.glassbox.apiserver.definitions import definitions, reference, type_of
from labkit.glassbox.apiserver.openapi import openapi_v3, openapi_v3_hash, openapi_v3_index
from labkit.glassbox.apiserver.readers import Mismatch, Notes, count_keys, kind_of, struct
from labkit.glassbox.errors import ApiError, bad_request
from labkit.glassbox.resources import Resource, structural

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
__all__ = ["FieldInfo", "apply_defaults", "decode", "field", "openapi_v3", "openapi_v3_hash", "openapi_v3_index"]


def decode(
    resource: Resource, obj: dict, *, field_validation: str, raw: bytes = b"", noted: Sequence[str] = ()
) -> tuple[dict, list[str]]:
    """Return the object in its normal form, and warnings; raw is the text that it came from, if there was one.

    What was noted before is added to the warnings. Raises ApiError 400: a wrong type or, with Strict validation, an
    unknown or repeated field.
    """
    notes = Notes()
    try:
        if resource.custom:
            result = custom(obj, resource.custom.schema, notes)
        else:
            result = struct(resource.definition)(obj, "", "", notes)
    except (ValueError, Mismatch) as error:
        raise _cannot(resource, str(error)) from None
    if (obj.get("metadata") or {}).get("managedFields") == []:
        result["metadata"]["managedFields"] = []  # which asks for nobody to be kept, unlike none
    if field_validation == "Ignore":
        return result, []
    faults = [*noted, *repeated(raw, notes.keys), *(f'unknown field "{path}"' for path in notes.unknown)]
    if faults and field_validation == "Strict":
        raise _cannot(resource, "strict decoding error: " + ", ".join(faults))
    return result, faults


def custom(obj: dict, schema: dict, notes: Notes) -> dict:
    """Return a custom resource in its normal form. Raises ValueError for metadata of a wrong type."""
    notes.keys += count_keys(obj)
    structural.fill(obj, schema)
    notes.unknown += structural.prune(obj, schema)
    for each, path in structural.resources_in(obj, schema):
        if each.get("metadata") is not None:
            at = f"{path}.metadata" if path else "metadata"
            if not isinstance(each["metadata"], dict):
                given = kind_of(each["metadata"])
                raise ValueError(f"json: cannot unmarshal {given} into Go struct field .{at} of type v1.ObjectMeta")
            each["metadata"] = struct(OBJECT_META)(each["metadata"], at, at, Notes(notes.unknown))
    notes.unknown.sort()
    return obj


def _cannot(resource: Resource, why: str) -> ApiError:
    told = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {why}'
    return bad_request(told)


# -- repeated fields


def repeated(raw: bytes, keys: int) -> list[str]:
    """Return a fault for each field that stands twice in its object.

    Parsing for that is slow, so it is done only when the text has more colons than the object has keys.
    """
    if raw.count(b":") == keys or not raw:
        return []
    return _repeated_json(raw) if raw.lstrip()[:1] in (b"{", b"[") else repeated_yaml(raw)


def _repeated_json(raw: bytes) -> list[str]:
    tree = json.loads(raw, object_pairs_hook=_Pairs)
    return [f'duplicate field "{path}"' for path in _twice(tree, "")]


class _Pairs(list):
    """An object as it was written: its pairs, repeated keys included."""


def _twice(value: Any, path: str):
    if isinstance(value, _Pairs):
        seen = set()
        for key, item in value:
            at = f"{path}.{key}" if path else key
            if key in seen:
                yield at
            seen.add(key)
            yield from _twice(item, at)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _twice(item, f"{path}[{index}]")


def repeated_yaml(raw: bytes) -> list[str]:
    """Return the fault of keys that stand twice, as Go's reader of YAML tells it."""
    import yaml

    def walk(node):
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, item in node.value:
                if key.value in seen:
                    yield f'  line {key.start_mark.line + 1}: key "{key.value}" already set in map'
                seen.add(key.value)
                yield from walk(item)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from walk(item)

    found = list(walk(yaml.compose(raw, Loader=yaml.CSafeLoader)))
    return ["yaml: unmarshal errors:\n" + "\n".join(found)] if found else []


# -- merging


@dataclass(frozen=True)
class FieldInfo:
    """How a strategic merge patch treats a field: its definition, if it has one, and how its list is merged."""

    definition: str | None = None
    is_list: bool = False
    is_map: bool = False
    patch_strategy: str = ""
    patch_merge_key: str = ""


UNKNOWN = FieldInfo()


def field(definition: str, name: str) -> FieldInfo:
    """Return what is known of a definition's field; UNKNOWN, for a field that does not exist."""
    schema = definitions().get(definition, {}).get("properties", {}).get(name)
    if schema is None:
        return UNKNOWN
    is_list = reference(schema) is None and type_of(schema) == "array"
    inner = schema["items"] if is_list else schema
    return FieldInfo(
        definition=reference(inner),
        is_list=is_list,
        is_map=reference(schema) is None and type_of(schema) == "object",
        patch_strategy=schema.get("x-kubernetes-patch-strategy", ""),
        patch_merge_key=schema.get("x-kubernetes-patch-merge-key", ""),
    )
