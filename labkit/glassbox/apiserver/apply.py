"""PATCH with an apply configuration: server-side apply, of an object, its status or its scale.

The configuration is checked against the kind's shape and merged into the live object; what it leaves out since last
time goes. The rest is a create or an update like any other.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go (applyPatcher),
…/managedfields/internal/{structuredmerge,versioncheck,lastappliedmanager,lastappliedupdater,conflict}.go
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from typing import Any

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver import decoding, managed, schema
from labkit.glassbox.apiserver.authorization import Attributes
from labkit.glassbox.apiserver.fields import managers, values
from labkit.glassbox.apiserver.fields.managers import Conflict, Entry
from labkit.glassbox.apiserver.fields.sets import Fields, difference, paths, text
from labkit.glassbox.apiserver.fields.shapes import Shape
from labkit.glassbox.apiserver.objects_at_rest import as_served, key
from labkit.glassbox.apiserver.readers import count_keys
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.apiserver.routes import flag
from labkit.glassbox.apiserver.writes import apply_update, check_name, check_namespace, create_object
from labkit.glassbox.errors import ApiError, Cause
from labkit.glassbox.resources import Resource

KUBECTL, LAST_APPLIED = "kubectl", "kubectl.kubernetes.io/last-applied-configuration"
LONGEST_ANNOTATION = 256 << 10  # bytes


def apply(request: Request, api: Api) -> Answer:
    """Make an object as the configuration says, or a new one. Raises ApiError 400, 403, 404, 409, 422, 500."""
    request.check_options("PatchOptions")
    route, resource = request.route, request.resource
    row = api.store.get(key(resource, route.namespace, route.name))
    if row is None and route.subresource:
        read(api.store, resource, route.namespace, route.name)
    live = as_served(resource, orjson.loads(row.value)) if row else None
    config = configuration(request, resource.api_version, resource.kind, managed.shape_of(resource))
    try:
        merged, entries = merged_into(request, api, live, config)
    except Conflict as conflict:
        raise refusal(conflict.found) from None
    obj = _decoded(request, resource, merged)
    if live is None and obj["metadata"].get("uid"):
        told = f"uid mismatch: the provided object specified uid {obj['metadata']['uid']}"
        raise errors.conflict(resource.plural, route.name, f"{told}, and no existing object was found", resource.group)
    check_name(obj, route.name)
    check_namespace(obj, request)
    if row:
        return apply_update(request, api, row, obj, entries)
    asked = Attributes("create", route.group, route.plural, "", route.namespace, route.name)
    api.authorizer.require(request.user, asked)
    obj["metadata"].pop("resourceVersion", None)
    return create_object(request, obj, api, entries)


def merged_into(request: Request, api: Api, live: dict | None, config: dict) -> tuple[dict, list[Entry]]:
    """Return the live object with the configuration applied, and its managers. Raises Conflict."""
    resource, views = request.resource, managed.views_of(request.resource)
    writer = managed.writer_of(request, api, managers.APPLY)
    force = flag(request.query, "force")
    entries: list[Entry] = []
    if live and not (entries := live["metadata"].pop("managedFields", None) or []):
        before = replace(writer, name="before-first-apply", operation=managers.UPDATE)
        entries = managers.updated(managed.empty(resource), live, [], before, views)
    empty = {**managed.empty(resource), "kind": resource.kind, "apiVersion": resource.api_version}
    try:
        found = managers.applied(live or empty, config, entries, writer, views, force=force)
    except Conflict as conflict:
        if writer.name != KUBECTL or not live:
            raise
        forgive(conflict, live, views(writer.api_version).shape)  # type: ignore[union-attr]
        found = managers.applied(live, config, entries, writer, views, force=True)
    if writer.name == KUBECTL:
        note_configuration(found[0], config)
    return found


# -- the configuration


def configuration(request: Request, api_version: str, kind: str, shape: Shape) -> dict:
    """Return the configuration in the body. Raises ApiError 400, or 500 if it does not fit the shape, as upstream."""
    config = decoding.yaml_object(request.body)
    group, _, version = (config.get("apiVersion") or "").rpartition("/")
    of_kind = f"{group}/{version}, Kind={config.get('kind') or ''}"
    if (config.get("apiVersion"), config.get("kind")) != (api_version, kind):
        raise errors.bad_request(f"invalid object type: {of_kind}")
    meta = config.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    if meta.get("managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")
    if faults := list(values.faults(shape, config)):
        shown = f"({meta.get('namespace', '')}/{meta.get('name', '')}; {of_kind})"
        raise ApiError(500, "", f"failed to create typed patch object {shown}: {values.listed(faults)}")
    _check_repeated(request, config)
    return config


def _check_repeated(request: Request, config: dict) -> None:
    """Warn of keys that stand twice, or refuse them with Strict validation. Raises ApiError 400."""
    if request.field_validation == "Ignore" or request.body.count(b":") == count_keys(config):
        return
    for fault in schema.repeated_yaml(request.body):
        if request.field_validation == "Strict":
            raise errors.bad_request(f"error strict decoding YAML: error converting YAML to JSON: {fault}")
        request.warnings.append(f"error converting YAML to JSON: {fault}")


def _decoded(request: Request, resource: Resource, merged: dict) -> dict:
    """Return the merged object in its normal form; what an older version left in it is no fault of the request's."""
    try:
        obj, _ = schema.decode(resource, merged, field_validation="Ignore")
    except ApiError as error:
        fault = error.message.partition(f"cannot be handled as a {resource.kind}: ")[2] or error.message
        shown = f"({request.route.namespace}/{request.route.name}; {resource.api_version}, Kind={resource.kind})"
        told = f"failed to convert new typed object {shown} to object: {fault}"
        raise ApiError(500, "", told) from None
    obj.setdefault("metadata", {})
    return obj


# -- conflicts


def refusal(found: list[tuple[Entry, tuple[str, ...]]]) -> ApiError:
    """Return the refusal that tells who manages what, in upstream's words."""
    found = sorted(found, key=lambda each: (each[0]["manager"], each[0]["operation"], _shown(each[0])))
    causes = [Cause("FieldManagerConflict", f"conflict with {_shown(entry)}", text(path)) for entry, path in found]
    if len(found) == 1:
        told = f"1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        lines = []
        for who, theirs in groupby(causes, lambda cause: cause.message):
            lines += [f"{who.replace('conflict', 'conflicts', 1)}:", *(f"- {cause.field}" for cause in theirs)]
        told = f"{len(found)} conflicts: " + "\n".join(lines)
    details = {"causes": [cause.to_dict() for cause in causes]}
    return ApiError(409, "Conflict", f"Apply failed with {told}", details)


def _shown(entry: Entry) -> str:
    shown = json.dumps(entry["manager"], ensure_ascii=False)
    if entry.get("subresource"):
        shown += f' with subresource "{entry["subresource"]}"'
    return shown + (f" using {entry['apiVersion']}" if entry["operation"] == managers.UPDATE else "")


# -- kubectl's client-side apply, which came before


def forgive(conflict: Conflict, live: dict, shape: Shape) -> None:
    """Let pass what kubectl itself set by its client-side apply. Raises Conflict about the rest."""
    own = _applied_by_client(live, shape)
    set_by_client = set(paths(own))
    if rest := [each for each in conflict.found if each[1] not in set_by_client]:
        raise Conflict(rest)


def _applied_by_client(live: dict, shape: Shape) -> Fields:
    """Return the fields that the annotation of client-side apply tells of and that are still as it says."""
    try:
        config = orjson.loads((live["metadata"].get("annotations") or {}).get(LAST_APPLIED, ""))
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(config, dict) or any(values.faults(shape, config)):
        return {}
    changed, removed = values.compare(shape, managers.content(config), managers.content(live))
    return difference(difference(managers.named_by(shape, config), changed), removed)


def note_configuration(obj: dict, config: dict) -> None:
    """Keep the annotation of client-side apply true, where an object has one."""
    annotations: dict[str, Any] = obj["metadata"].get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return
    meta = dict(config["metadata"])
    if LAST_APPLIED in (meta.get("annotations") or {}):
        meta["annotations"] = {name: meta["annotations"][name] for name in meta["annotations"] if name != LAST_APPLIED}
    note = orjson.dumps({**config, "metadata": meta}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    kept = {name: value for name, value in annotations.items() if name != LAST_APPLIED}
    obj["metadata"] = {**obj["metadata"], "annotations": kept}
    if len(note.encode()) <= LONGEST_ANNOTATION:
        kept[LAST_APPLIED] = note
