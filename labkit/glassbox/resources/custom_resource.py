"""Custom resources: from a CustomResourceDefinition to Resources like the declared ones, one a served version.

An object is stored in the form of the storage version. What was written before the definition last changed is read
through today's schema (`since`), so that new defaults show and what is no longer specified does not.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go,
…/pkg/registry/customresource/{strategy,status_strategy,validator}.go, …/tableconvertor/tableconvertor.go
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from labkit.glassbox import objects
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import json_path, structural
from labkit.glassbox.resources.columns import AGE, NAME, since
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import metadata, rules, schema_values
from labkit.glassbox.resources.validation.fields import invalid

# Upstream's own order, which is told.
VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
MOST_REPLICAS = 2**31 - 1
GO_TYPES: dict[type, str] = {list: "[]interface {}", dict: "map[string]interface {}", str: "string", bool: "bool"}
SOME_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


@dataclass(eq=False)
class Custom:
    """What a definition says of one version, beyond what each Resource has."""

    schema: dict
    scale: dict  # specReplicasPath, statusReplicasPath, labelSelectorPath; {} without the subresource
    since: int  # the revision of the store before which objects lie there in another form
    is_primary: bool = False
    is_terminating: bool = False  # the definition is being deleted: nothing is created any more
    storage: Resource | None = None


class CustomResourceStrategy(Strategy):
    """Everything follows from the schema of one version."""

    counts_generation = True
    allow_unconditional_update = False
    empty_status = None

    def __init__(self, schema: dict, scale: dict, has_status: bool):
        self.schema, self.scale, self.has_status = schema, scale, has_status
        self.has_rules = '"x-kubernetes-validations"' in json.dumps(schema)

    def _reset_status(self, obj: dict) -> None:
        super()._reset_status(obj)
        status = (self.schema.get("properties") or {}).get("status") or {}
        structural.fill(obj, {"properties": {"status": status}})  # as whoever reads it would

    def changes_generation(self, obj: dict, old: dict) -> bool:
        ignored = {"metadata", "status"} if self.has_status else {"metadata"}
        return any(obj.get(name) != old.get(name) for name in (obj.keys() | old.keys()) - ignored)

    def validate(self, obj: dict) -> list[Cause]:
        return [*metadata.validate(obj["metadata"], self.name_rule, False), *self._faults(obj)]

    def validate_update(self, obj: dict, old: dict) -> list[Cause]:
        return [*list(metadata.validate_changeable(obj["metadata"], False)) * 3, *self._faults(obj, old)]

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return self._faults(obj, old)

    def _faults(self, obj: dict, old: dict | Any = schema_values.NOTHING) -> list[Cause]:
        found = list(schema_values.check(obj, self.schema, "", old))
        for path in ("specReplicasPath", "statusReplicasPath"):
            if path in self.scale:
                found += replica_faults(obj, self.scale[path])
        found += schema_values.check_embedded(obj, self.schema)
        found += schema_values.check_lists(obj, self.schema)
        if self.has_rules and any(each.reason in schema_values.BLOCKING for each in found):
            return [*found, Cause("FieldValueInvalid", f"Invalid value: null: {SOME_UNCHECKED}", schema_values.NOWHERE)]
        return [*found, *rules.broken(obj, self.schema, "", old)] if self.has_rules else found


def replica_faults(obj: dict, path: str) -> Iterator[Cause]:
    """Yield what is wrong with the number at a path of the scale subresource."""
    value: Any = obj
    for part in path[1:].split("."):
        if not isinstance(value, dict):
            told = f"{path} accessor error: {as_go_prints(value)} is of the type {GO_TYPES.get(type(value), 'int64')}"
            yield invalid(path, 0, f"{told}, expected map[string]interface{{}}")
            return
        if part not in value:
            return
        value = value[part]
    if isinstance(value, bool) or not isinstance(value, int):
        told = f"{path} accessor error: {as_go_prints(value)} is of the type {GO_TYPES.get(type(value), 'float64')}"
        yield invalid(path, 0, f"{told}, expected int64")
    elif value < 0:
        yield invalid(path, value, "should be a non-negative integer")
    elif value > MOST_REPLICAS:
        yield invalid(path, value, f"should be less than or equal to {MOST_REPLICAS}")


def as_go_prints(value: Any) -> str:
    """Return a JSON value as Go's %v prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{as_go_prints(value[name])}" for name in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(as_go_prints, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "<nil>", True: "true", False: "false"}[value]
    return str(value)


# --- from a definition


def resources_of(crd: dict, since: int) -> tuple[Resource, ...]:
    """Return a Resource for each served version, the preferred one first."""
    versions = sorted(crd["spec"]["versions"], key=lambda each: priority(each["name"]))
    made = {each["name"]: _resource(crd, each, since) for each in versions}
    storage = made[next(each["name"] for each in versions if each["storage"])]
    shape = shaping(storage)
    found = []
    for each in versions:
        resource = made[each["name"]]
        if resource is not storage:
            stored_as = (storage.group, storage.version, storage.plural)
            resource = replace(resource, stored_as=stored_as, to_stored=shape)
        assert resource.custom is not None
        resource.custom.storage = storage
        if each["served"]:
            found.append(resource)
    primary = storage if storage in found else found[0] if found else storage
    primary.custom.is_primary = True  # type: ignore[union-attr]
    return tuple(found)


def _resource(crd: dict, version: dict, since: int) -> Resource:
    spec, names = crd["spec"], crd["status"]["acceptedNames"]
    schema = objects.dig(version, "schema.openAPIV3Schema") or {}
    parts = version.get("subresources") or {}
    scale, has_status = parts.get("scale") or {}, "status" in parts
    columns = [column(each) for each in version.get("additionalPrinterColumns") or ()]
    custom = Custom(schema, scale, since)
    made = Resource(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular", ""),
        namespaced=spec["scope"] == "Namespaced",
        definition=".".join([*reversed(spec["group"].split(".")), version["name"], names["kind"]]),
        strategy=CustomResourceStrategy(schema, scale, has_status),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=VERBS,
        subresources=(*(("status",) if has_status else ()), *(("scale",) if scale else ())),
        columns=(NAME, *(columns or [AGE_COLUMN])),
        field_labels=tuple(each["jsonPath"][1:] for each in version.get("selectableFields") or ()),
        deprecated=deprecation(spec, version) if version.get("deprecated") else "",
        custom=custom,
    )
    return replace(made, from_stored=shaping(made))


def shaping(resource: Resource) -> Callable[[dict], dict]:
    """Return what brings an object into the form of a resource's schema."""
    schema = resource.custom.schema if resource.custom else {}

    def shape(obj: dict) -> dict:
        structural.fill(obj, schema)
        structural.prune(obj, schema)
        return obj

    return shape


def priority(version: str) -> tuple:
    """Return what sorts versions as clients prefer them: v2, v1, v1beta2, v1alpha1, then others by name."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not found:
        return (1, version)
    return (0, {None: 0, "beta": 1, "alpha": 2}[found[2]], -int(found[1]), -int(found[3] or 0))


def deprecation(spec: dict, version: dict) -> str:
    """Return what every answer in a deprecated version warns of."""
    if told := version.get("deprecationWarning"):
        return told
    group, kind = spec["group"], spec["names"]["kind"]
    others = [each["name"] for each in spec["versions"] if each["served"] and not each.get("deprecated")]
    better = [each for each in others if priority(each) < priority(version["name"])]
    told = f"{group}/{version['name']} {kind} is deprecated"
    return f"{told}; use {group}/{min(better, key=priority)} {kind}" if better else told


# --- columns

AGE_COLUMN = replace(AGE, type="date")


def column(told: dict) -> Column:
    """Return a printer column of a definition."""
    path, kind = told["jsonPath"], told["type"]
    description = told.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
    return Column(
        told["name"],
        lambda obj, now: cell(json_path.find(path, obj), kind, now),
        description=description,
        type=kind,
        format=told.get("format", ""),
        priority=told.get("priority", 0),
    )


def cell(found: list[Any], kind: str, now: float) -> Any:
    """Return the first of the values as a column of a kind shows it, None where it does not fit."""
    if not found or found[0] is None:
        return None
    value = found[0]
    if kind == "string":
        return json.dumps(value, separators=(",", ":")) if isinstance(value, dict | list) else as_go_prints(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "date":
        try:
            return since(value, now) if isinstance(value, str) else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if kind == "integer" else value
