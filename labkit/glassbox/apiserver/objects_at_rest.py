"""How an object lies in the store: its key, the order of its fields, and the form other versions see it in.

Values are stored as they are served, resourceVersion included, so that a read copies bytes. A list strips the
constant beginning (kind, apiVersion) of each; custom resources keep it, and lie with their keys sorted, as they are
served upstream too.

Upstream: staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go
"""

from __future__ import annotations

from functools import lru_cache

import orjson

from labkit.glassbox.resources import REGISTRY, Resource

FOLDERS = {"services": "services/specs", "nodes": "minions"}  # as etcd keys have been since the first release
METADATA_ORDER = (
    *("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers"),
    "managedFields",
)


@lru_cache(maxsize=64)
def stored(resource: Resource) -> Resource:
    """Return the resource in whose form the objects are stored."""
    if resource.custom:
        return resource.custom.storage or resource
    return REGISTRY.at(*resource.stored_as) or resource if resource.stored_as else resource


def prefix(resource: Resource, namespace: str = "") -> str:
    """Return what the keys of a collection begin with."""
    folder = f"{resource.group}/{resource.plural}" if resource.custom else FOLDERS.get(resource.plural, resource.plural)
    return f"/registry/{folder}/{namespace}/" if namespace else f"/registry/{folder}/"


def key(resource: Resource, namespace: str, name: str) -> str:
    return prefix(resource, namespace) + name


@lru_cache(maxsize=64)
def heading(resource: Resource) -> bytes:
    """Return the constant beginning of every stored value of this resource."""
    head = orjson.dumps({"kind": resource.kind, "apiVersion": resource.api_version})
    return head[:-1] + b","


def encode(resource: Resource, obj: dict, revision: int | None) -> bytes:
    """Return the bytes to store (or to answer a dry run with, if revision is None)."""
    meta = obj["metadata"]
    if revision is None:
        meta.pop("resourceVersion", None)
    else:
        meta["resourceVersion"] = str(revision)
    if not meta.get("managedFields"):
        meta.pop("managedFields", None)
    if resource.custom:
        whole = {**obj, "apiVersion": resource.api_version, "kind": resource.kind}
        return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
    meta = {field: meta[field] for field in METADATA_ORDER if field in meta}
    rest = {field: value for field, value in obj.items() if field not in ("kind", "apiVersion", "metadata")}
    whole = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta, **rest}
    return orjson.dumps(whole)


def to_stored(resource: Resource, obj: dict) -> dict:
    """Return the object in the form in which it is stored."""
    if not resource.stored_as:
        return obj
    own = stored(resource)
    return {**resource.to_stored(obj), "kind": own.kind, "apiVersion": own.api_version}


def as_served(resource: Resource, obj: dict) -> dict:
    """Return a stored object in the form of the resource through which it is read."""
    if not resource.stored_as and not resource.custom:
        return obj
    return {**resource.from_stored(obj), "kind": resource.kind, "apiVersion": resource.api_version}


def served_bytes(resource: Resource, value: bytes, revision: int) -> bytes:
    """Return what was stored at a revision as the resource serves it."""
    if not needs_conversion(resource, revision):
        return value
    option = orjson.OPT_SORT_KEYS if resource.custom else 0
    return orjson.dumps(as_served(resource, orjson.loads(value)), option=option)


def needs_conversion(resource: Resource, revision: int) -> bool:
    """Tell whether what was stored at a revision lies there in another form than the resource has today."""
    return bool(resource.stored_as) or (resource.custom is not None and revision < resource.custom.since)
