"""Tables: lists as a person reads them, computed where the objects are.

Columns are declared with each Resource; here they meet objects, the time, and what the client asked to have beside
the cells. Column definitions repeat the published descriptions.

Upstream: staging/src/k8s.io/apiserver/pkg/registry/rest/table.go, pkg/printers/tablegenerator.go
"""

from __future__ import annotations

from functools import lru_cache

from labkit.glassbox.apiserver.definitions import definition, reference, type_of
from labkit.glassbox.apiserver.objects_at_rest import stored, to_stored
from labkit.glassbox.resources import Column, Resource
from labkit.glassbox.resources.columns import PLAIN

HELD_INSIDE = "deprecated.daemonset.template.generation"  # upstream takes this annotation into a field of its own


def table(resource: Resource, objects: list[dict], list_meta: dict, include_object: str, now: float) -> dict:
    """Return a meta.k8s.io/v1 Table; include_object is None, Metadata or Object, as in the query."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta,
        "columnDefinitions": column_definitions(shown_through(resource)),
        "rows": [row(resource, obj, include_object or "Metadata", now) for obj in objects] or _no_rows(resource),
    }


def shown_through(resource: Resource) -> Resource:
    """Return the resource whose columns a table has: each version of a custom one has its own."""
    return resource if resource.custom else stored(resource)


def _no_rows(resource: Resource) -> list | None:
    return None if stored(resource).columns == PLAIN else []  # as the two printers of upstream have it


def row(resource: Resource, obj: dict, include_object: str, now: float) -> dict:
    """Return one object's row."""
    through = shown_through(resource)
    whole = obj if through is resource else to_stored(resource, obj)
    cells = [column.value(whole, now) for column in through.columns]
    conditions = resource.row_conditions(whole)
    return {
        "cells": cells,
        **({"conditions": conditions} if conditions else {}),
        "object": _beside(resource, obj, include_object),
    }


def _beside(resource: Resource, obj: dict, include_object: str) -> dict | None:
    if include_object == "None":
        return None
    if include_object == "Object":
        return obj
    shown = obj["metadata"]
    if resource.plural == "daemonsets" and HELD_INSIDE in (shown.get("annotations") or {}):
        kept = {key: value for key, value in shown["annotations"].items() if key != HELD_INSIDE}
        shown = {
            key: kept if key == "annotations" else value for key, value in shown.items() if kept or key != "annotations"
        }
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": shown}


@lru_cache(maxsize=64)
def column_definitions(resource: Resource) -> list[dict]:
    """Return what a Table says of its columns."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": _description(resource, column),
            "priority": column.priority,
        }
        for column in resource.columns
        if column.name  # upstream's printer of addresses has a cell without one
    ]


def _description(resource: Resource, column: Column) -> str:
    """Return the column's own description, or the published one of the field that it shows."""
    if column.description or not column.describes:
        return column.description
    name, schema = resource.definition, {}
    for part in column.describes.split("."):
        schema = definition(name)["properties"][part]
        inner = schema["items"] if type_of(schema) == "array" and "items" in schema else schema
        name = reference(inner) or name
    return schema["description"]
