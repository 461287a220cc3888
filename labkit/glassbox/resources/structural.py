"""What a structural schema makes of an object: defaults filled in, nulls that may not be and unknown fields dropped.

Schemas are those of a CustomResourceDefinition, as dicts. The functions change the object that they are given.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/{defaulting,pruning}
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

TYPE_AND_METADATA = ("apiVersion", "kind", "metadata")
PRESERVE, EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"


def schema_of(name: str, schema: dict) -> dict | None:
    """Return the schema of an object's field, None where the field is not specified."""
    found = (schema.get("properties") or {}).get(name)
    if found is None and isinstance(extra := schema.get("additionalProperties"), dict):
        return extra
    return found


def below(value: Any, schema: dict, path: str = "") -> Iterator[tuple[Any, dict, str]]:
    """Yield the specified fields of an object, or the items of a list, with their schemas and paths."""
    if isinstance(value, dict):
        for name, item in value.items():
            if (inner := schema_of(name, schema)) is not None:
                yield item, inner, f"{path}.{name}" if path else name
    elif isinstance(value, list) and isinstance(inner := schema.get("items"), dict):
        for index, item in enumerate(value):
            yield item, inner, f"{path}[{index}]"


def fill(value: Any, schema: dict) -> None:
    """Fill in defaults; a null that its schema does not allow counts as absent."""
    if isinstance(value, dict):
        for name, inner in (schema.get("properties") or {}).items():
            if "default" in inner and (name not in value or (value[name] is None and not inner.get("nullable"))):
                value[name] = deepcopy(inner["default"])
        for name in [name for name, item in value.items() if item is None]:
            if (found := schema_of(name, schema)) is not None and not found.get("nullable"):
                del value[name]
    for item, inner, _ in below(value, schema):
        fill(item, inner)


def prune(value: Any, schema: dict, path: str = "", is_root: bool = True) -> list[str]:
    """Drop the fields that the schema does not specify; return their paths."""
    dropped = []
    if isinstance(value, dict) and not schema.get(PRESERVE) and schema.get("additionalProperties") is not True:
        kept = TYPE_AND_METADATA if is_root or schema.get(EMBEDDED) else ()
        for name in [each for each in value if each not in kept and schema_of(each, schema) is None]:
            del value[name]
            dropped.append(f"{path}.{name}" if path else name)
    own_metadata = is_root or schema.get(EMBEDDED)
    for item, inner, at in below(value, schema, path):
        if not (own_metadata and at == (f"{path}.metadata" if path else "metadata")):
            dropped += prune(item, inner, at, False)
    return dropped


def resources_in(value: Any, schema: dict, path: str = "", is_root: bool = True) -> Iterator[tuple[dict, str]]:
    """Yield the object itself and the resources that are embedded in it, with their paths."""
    if isinstance(value, dict) and (is_root or schema.get(EMBEDDED)):
        yield value, path
    for item, inner, at in below(value, schema, path):
        yield from resources_in(item, inner, at, False)
