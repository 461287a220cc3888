"""How a schema says that values are merged: which lists are maps or sets, what is atomic, which keys there are.

A shape is compiled once from a published definition, or from any JSON schema of the same words (a custom resource's).
Its fields are compiled when first met, since definitions refer to themselves.

Upstream: k8s.io/kube-openapi/pkg/schemaconv
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from labkit.glassbox.apiserver.defaults import TABLE
from labkit.glassbox.apiserver.definitions import definition, reference, type_of

SCALARS = {"string": "string", "boolean": "boolean", "integer": "numeric", "number": "numeric"}
ZEROES = {"string": "", "numeric": 0, "boolean": False}
# Fields that hold their struct by value: Go writes them even of an object that says nothing.
BY_VALUE = frozenset(
    [
        *("metadata", "spec", "status", "strategy", "updateStrategy", "loadBalancer", "nodeInfo", "daemonEndpoints"),
        *("source", "deprecatedSource", "kubeletEndpoint"),
    ]
)
VALUE_TYPES = ("io.k8s.api.core.v1.VolumeResourceRequirements",)  # the same of types


class Shape:
    """What one value may be: `kind` is map, list, set, a scalar's name, untyped (a scalar) or any (what it looks like).

    An atomic value is one field, whatever is in it. The items of a list with `keys` are told apart by them.
    """

    __slots__ = ("atomic", "compiled", "defaults", "element", "keys", "kind", "properties", "required")

    def __init__(self, kind: str, *, atomic: bool = False, element: Shape | None = None):
        self.kind, self.atomic, self.element = kind, atomic, element
        self.keys: tuple[str, ...] = ()
        self.defaults: Mapping[str, Any] = {}
        self.properties: Mapping[str, dict] = {}
        self.required: frozenset[str] = frozenset()
        self.compiled: dict[str, Shape] = {}

    @property
    def leaf(self) -> bool:
        """Whether nobody looks into it."""
        return self.atomic or self.kind not in ("map", "list", "set", "any")

    def declared(self, name: str) -> Shape | None:
        """Return the shape of a struct's field."""
        if name not in self.compiled and name in self.properties:
            self.compiled[name] = shape_of(self.properties[name])
        return self.compiled.get(name)

    def field(self, name: str) -> Shape | None:
        """Return the shape of a struct's field or a map's entry; None if there is no such field."""
        return self.compiled.get(name) or self.declared(name) or self.element


ANY, UNTYPED = Shape("any"), Shape("untyped")
ANY.element = ANY


def shape_of(schema: dict) -> Shape:
    """Return the shape of a schema; a reference's own words about merging count more than its target's."""
    if name := reference(schema):
        target = named(name)
        return _granularity(Shape("map"), schema, target) if "x-kubernetes-map-type" in schema else target
    if schema.get("x-kubernetes-int-or-string") or "oneOf" in schema:
        return UNTYPED
    kind = type_of(schema)
    if kind == "array":
        return _list(schema)
    if kind in SCALARS:
        return Shape(SCALARS[kind])
    return _map(schema)


@cache
def named(name: str) -> Shape:
    """Return the shape of a published definition."""
    return shape_of(definition(name))


def _map(schema: dict) -> Shape:
    values = schema.get("additionalProperties")
    if not values and "properties" not in schema:
        return ANY
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or values is True
    if isinstance(values, dict) and values:
        shape = Shape("map", element=shape_of(values))
    else:
        shape = Shape("map", element=ANY if open_ended else None)
    shape.atomic = schema.get("x-kubernetes-map-type") == "atomic"
    shape.properties, shape.required = schema.get("properties", {}), frozenset(schema.get("required", ()))
    return shape


def _granularity(shape: Shape, schema: dict, target: Shape) -> Shape:
    """Return a target's shape, atomic or not as the schema that refers to it says."""
    shape.atomic, shape.element = schema["x-kubernetes-map-type"] == "atomic", target.element
    shape.properties, shape.required = target.properties, target.required
    return shape


def _list(schema: dict) -> Shape:
    kind, keys = schema.get("x-kubernetes-list-type"), tuple(schema.get("x-kubernetes-list-map-keys", ()))
    if kind is None and "merge" in schema.get("x-kubernetes-patch-strategy", ""):
        key = schema.get("x-kubernetes-patch-merge-key")
        kind, keys = ("map", (key,)) if key else ("set", ())
    element = shape_of(schema.get("items") or {})
    if kind not in ("map", "set"):
        return Shape("list", atomic=True, element=element)
    shape = Shape("list" if kind == "map" else "set", element=element)
    shape.keys = tuple(sorted(keys))
    defaults = TABLE.get(reference(schema["items"]) or "", {})
    shape.defaults = {key: value for key in keys if (value := _default(element, key, defaults)) is not None}
    return shape


def _default(element: Shape, key: str, defaults: Mapping[str, Any]) -> Any:
    """Return what a key is that an item leaves out: its default, or Go's zero where it is always written."""
    own = element.properties.get(key, {})
    if key in defaults or "default" in own:
        return defaults.get(key, own.get("default"))
    field = element.declared(key)
    return ZEROES.get(field.kind) if field and key in element.required and "$ref" not in own else None


@cache
def zero(shape: Shape) -> dict:
    """Return what Go writes of an object that says nothing: structs by value, and lists that must be there."""
    found: dict[str, Any] = {}
    for name in shape.properties:
        field = shape.declared(name)
        if field is None or shape.atomic:
            continue
        by_value = name in BY_VALUE or name in shape.required or reference(shape.properties[name]) in VALUE_TYPES
        if by_value and field.kind == "map":
            found[name] = zero(field)
        elif name in shape.required and field.kind in ("list", "set"):
            found[name] = []
    return found
