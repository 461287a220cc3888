"""PATCH: from a stored object and a patch to the object that is written; merge patch itself.

JSON patch is in `json_patch.py`, strategic merge patch in `strategic_patch.py`, server-side apply in `apply.py`.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver import decoding, schema
from labkit.glassbox.apiserver.apply import apply
from labkit.glassbox.apiserver.json_patch import Unpatchable, json_patch
from labkit.glassbox.apiserver.objects_at_rest import as_served
from labkit.glassbox.apiserver.readers import count_keys
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import APPLY_PATCH, Answer, Api, Request
from labkit.glassbox.apiserver.strategic_patch import strategic_merge
from labkit.glassbox.apiserver.writes import apply_update, check_name, check_namespace
from labkit.glassbox.errors import ApiError, Cause
from labkit.glassbox.json_faults import GO_TYPES, json_fault
from labkit.glassbox.resources import Resource
from labkit.glassbox.resources.custom_resource import as_go_prints

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
MAX_OPERATIONS = 10_000
OPERATION = ("op", "path", "from", "value")
CONVERTER_KINDS = {"number": "int64", "object": "map", "array": "slice"}  # JSON's word -> Go's


def patch(request: Request, api: Api) -> Answer:
    """Change an object as the patch says. Raises ApiError 400, 404, 409, 413, 415, 422, 500."""
    if patch_type(request) == APPLY_PATCH:
        return apply(request, api)
    request.check_options("PatchOptions")
    route, resource = request.route, request.resource
    row = read(api.store, resource, route.namespace, route.name)
    old = as_served(resource, orjson.loads(row.value))
    obj = patched_body(request, resource, old)
    check_name(obj, route.name)
    check_namespace(obj, request)
    return apply_update(request, api, row, obj)


def patch_type(request: Request) -> str:
    """Return the kind of patch. Raises ApiError 415, in upstream's bare words."""
    media = request.content_type.partition(";")[0].strip()
    if media not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH):
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    if media == STRATEGIC_PATCH and request.resource.custom:
        raise errors.unsupported_media_type(media, [JSON_PATCH, MERGE_PATCH, APPLY_PATCH])
    return media


def patched_body(request: Request, resource: Resource, old: dict) -> dict:
    """Return the object after the patch, decoded anew: a patch may bring in fields and types that do not exist.

    The old one is used up.
    """
    media, document = patch_type(request), _document(request)
    noted = _noted(request.body, document)
    held = old["metadata"].pop("managedFields", []) if b"managedFields" not in request.body else []
    try:
        if media == JSON_PATCH:
            new = json_patch(old, document)
        elif media == MERGE_PATCH:
            new = merge_patch(old, document)
        else:
            own = {"apiVersion": resource.api_version, "kind": resource.kind}  # upstream fills this kind's struct
            new = {**strategic_merge(old, document, resource.definition), **own}
    except Unpatchable:
        raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {}) from None
    # Upstream shows what it could not decode: the patch itself if it merged values, else the JSON that came of it.
    return _decoded(request, resource, new, held, noted, as_go_prints(document) if media == STRATEGIC_PATCH else "")


def _decoded(request: Request, resource: Resource, new: dict, held: list, noted: list[str], shown: str) -> dict:
    try:
        if (new.get("apiVersion"), new.get("kind")) != (resource.api_version, resource.kind):
            decoding.check_kind(new, resource, _as_go_writes(new, request.body))
        obj, warnings = schema.decode(resource, new, field_validation=request.field_validation, noted=noted)
    except ApiError as error:
        message = error.message.partition(f"cannot be handled as a {resource.kind}: ")[2] or error.message
        if shown:
            message = as_converter_says(message)
        if held and isinstance(new.get("metadata"), dict):
            new["metadata"]["managedFields"] = held
        value = orjson.dumps(shown or _as_go_writes(new, request.body).decode()).decode()
        raise errors.invalid(
            "", "", "", [Cause("FieldValueInvalid", f"Invalid value: {value}: {message}", "patch")]
        ) from None
    request.warnings.extend(warnings)
    obj.setdefault("metadata", {})
    return obj


def as_converter_says(message: str) -> str:
    """Return a wrong type in the words of the converter that strategic patches go through, not of the JSON parser."""
    if message.startswith("illegal base64"):
        return f"error decoding from json: {message}"
    found = re.match(r"json: cannot unmarshal (\w+)(?: \S+)? into Go struct field \S+ of type (\S+)", message)
    if not found:
        return message
    if found[1] == "number" and found[2] in ("string", "int32", "int64"):
        return f"cannot convert {'int64' if found[2] == 'string' else 'float64'} to {found[2]}"
    given, wanted = CONVERTER_KINDS.get(found[1], found[1]), found[2]
    if wanted.startswith("[]"):
        return f"cannot restore slice from {given}"
    if wanted.startswith("map["):
        return f"cannot restore map from {given}"
    if "." in wanted:
        return f"cannot restore struct from: {given}"
    return f"unrecognized type: {wanted}"


def _as_go_writes(obj: dict, patch: bytes) -> bytes:
    """Return the JSON that an error text shows: maps sorted by key, metadata that was not touched as its struct."""
    sort = orjson.OPT_SORT_KEYS
    as_sent = () if b'"metadata"' in patch or b"/metadata/" in patch else ("metadata",)
    parts = {name: orjson.dumps(value, option=0 if name in as_sent else sort) for name, value in obj.items()}
    return orjson.dumps({name: orjson.Fragment(parts[name]) for name in sorted(parts)})


def _document(request: Request) -> Any:
    """Return the patch that was sent. Raises ApiError 400, 413."""
    media = patch_type(request)
    wanted: type = list if media == JSON_PATCH else dict
    context = "" if media == STRATEGIC_PATCH else "error decoding patch: "
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise errors.bad_request(f"{context}{json_fault(request.body)}") from None
    if document is None:
        if media == MERGE_PATCH:
            raise errors.bad_request("Invalid JSON Patch")
        return wanted()
    if not isinstance(document, wanted):
        given = "object" if isinstance(document, dict) else GO_TYPES[type(document)]
        go_type = "[]handlers.jsonPatchOp" if wanted is list else "map[string]interface {}"
        raise errors.bad_request(f"{context}json: cannot unmarshal {given} into Go value of type {go_type}")
    if isinstance(document, list):
        _check_operations(document)
    return _with_whole_numbers(document) if media == STRATEGIC_PATCH and b"." in request.body else document


def _check_operations(operations: list) -> None:
    """Refuse what a JSON patch cannot be read from. Raises ApiError 400, 413."""
    for each in operations:
        if each is not None and not isinstance(each, dict):
            given = GO_TYPES[type(each)]
            told = f"json: cannot unmarshal {given} into Go value of type handlers.jsonPatchOp"
            raise errors.bad_request(f"error decoding patch: {told}")
        for name in ("op", "path", "from"):
            value = (each or {}).get(name)
            if value is not None and not isinstance(value, str):
                given = GO_TYPES.get(type(value), "object")
                told = f"json: cannot unmarshal {given} into Go struct field jsonPatchOp.{name} of type string"
                raise errors.bad_request(f"error decoding patch: {told}")
    if len(operations) > MAX_OPERATIONS:
        told = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {told}")


def _noted(body: bytes, document: Any) -> list[str]:
    """Return what is odd in a patch itself: fields that stand twice, and that an operation has not."""
    faults = schema.repeated(body, count_keys(document))
    if not isinstance(document, list):
        return faults
    strange = [
        f'unknown field "[{at}].{name}"'
        for at, each in enumerate(document)
        for name in each or ()
        if name not in OPERATION
    ]
    return [f"json patch {each}" for each in [*faults, *strange]]


def _with_whole_numbers(value: Any) -> Any:
    """Return a patch with 1 for 1.0, which upstream's converter takes for it."""
    if isinstance(value, dict):
        return {name: _with_whole_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# --- RFC 7386


def merge_patch(target: Any, change: Any) -> Any:
    """Return target with change merged in: null removes, objects merge, all else replaces."""
    if not isinstance(change, dict):
        return change
    result = target if isinstance(target, dict) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result
