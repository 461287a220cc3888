"""PATCH: merge patch and strategic merge patch: pure functions from an object and a patch to an object.

A strategic merge patch merges lists by the merge keys that the published schema names, and knows four directives:
`$patch` (replace, delete, merge), `$retainKeys`, `$deleteFromPrimitiveList/FIELD` and `$setElementOrder/FIELD`.
JSON patch is in `json_patch.py`, server-side apply in `apply.py`.

Upstream: staging/src/k8s.io/apimachinery/pkg/util/strategicpatch/patch.go, …/apiserver/pkg/endpoints/handlers/patch.go
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
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import APPLY_PATCH, Answer, Api, Request
from labkit.glassbox.apiserver.writes import apply_update, check_name, check_namespace
from labkit.glassbox.errors import ApiError, Cause
from labkit.glassbox.json_faults import GO_TYPES, json_fault
from labkit.glassbox.resources import Resource
from labkit.glassbox.resources.custom_resource import as_go_prints

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
MAX_OPERATIONS = 10_000
SET_ORDER, DELETE_FROM = "$setElementOrder/", "$deleteFromPrimitiveList/"
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
    held = old["metadata"].pop("managedFields", []) if b"managedFields" not in request.body else []
    try:
        if media == JSON_PATCH:
            new = json_patch(old, document)
        elif media == MERGE_PATCH:
            new = merge_patch(old, document)
        else:
            new = strategic_merge(old, document, resource.definition)
            new |= {"apiVersion": resource.api_version, "kind": resource.kind}  # upstream fills this kind's struct
    except Unpatchable:
        raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {}) from None
    # Upstream shows what it could not decode: the patch itself if it merged values, else the JSON that came of it.
    return _decoded(request, resource, new, held, as_go_prints(document) if media == STRATEGIC_PATCH else "")


def _decoded(request: Request, resource: Resource, new: dict, held: list, shown: str) -> dict:
    try:
        if (new.get("apiVersion"), new.get("kind")) != (resource.api_version, resource.kind):
            decoding.check_kind(new, resource, _as_go_writes(new))
        obj, warnings = schema.decode(resource, new, field_validation=request.field_validation, raw=b"")
    except ApiError as error:
        message = error.message.partition(f"cannot be handled as a {resource.kind}: ")[2] or error.message
        if shown:
            message = as_converter_says(message)
        if held and isinstance(new.get("metadata"), dict):
            new["metadata"]["managedFields"] = held
        value = orjson.dumps(shown or _as_go_writes(new).decode()).decode()
        raise errors.invalid(
            "", "", "", [Cause("FieldValueInvalid", f"Invalid value: {value}: {message}", "patch")]
        ) from None
    request.warnings.extend(warnings)
    obj.setdefault("metadata", {})
    return obj


def as_converter_says(message: str) -> str:
    """Return a wrong type in the words of the converter that strategic patches go through, not of the JSON parser."""
    found = re.match(r"json: cannot unmarshal (\w+) into Go struct field \S+ of type (\S+)", message)
    if not found:
        return message
    given, wanted = CONVERTER_KINDS.get(found[1], found[1]), found[2]
    if wanted.startswith("[]"):
        return f"cannot restore slice from {given}"
    if wanted.startswith("map["):
        return f"cannot restore map from {given}"
    if "." in wanted:
        return f"cannot restore struct from: {given}"
    return f"unrecognized type: {wanted}"


def _as_go_writes(obj: dict) -> bytes:
    """Return the JSON that an error text shows: maps sorted by key, metadata in the order of its struct."""
    sort = orjson.OPT_SORT_KEYS
    parts = {name: orjson.dumps(value, option=0 if name == "metadata" else sort) for name, value in obj.items()}
    return orjson.dumps({name: orjson.Fragment(parts[name]) for name in sorted(parts)})


def _document(request: Request) -> Any:
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise errors.bad_request(f"error decoding patch: {json_fault(request.body)}") from None
    wanted: type = list if patch_type(request) == JSON_PATCH else dict
    go_type = "[]handlers.jsonPatchOp" if wanted is list else "map[string]interface {}"
    if not isinstance(document, wanted):
        given = "object" if isinstance(document, dict) else GO_TYPES.get(type(document), "null")
        told = f"json: cannot unmarshal {given} into Go value of type {go_type}"
        raise errors.bad_request(f"error decoding patch: {told}")
    if isinstance(document, list) and len(document) > MAX_OPERATIONS:
        told = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(document)}"
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {told}")
    return document


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


# --- strategic merge


def strategic_merge(target: dict, change: dict, definition: str | None) -> dict:
    """Return target with change merged in by the schema of its definition. Raises ApiError 400, 500."""
    change = dict(change)
    directive = change.pop("$patch", None)
    if directive == "replace":
        return change
    if directive == "delete":
        return {}
    if directive is not None:
        raise _bad_directive({"$patch": directive, **change})
    retained = change.pop("$retainKeys", None)
    if retained is not None:
        target = _retained(target, change, retained)
    orders = _take(change, SET_ORDER)
    for name, order in orders.items():
        _check_order(change.get(name), order, _field(definition, name).patch_merge_key)
    for name, unwanted in _take(change, DELETE_FROM).items():
        if isinstance(target.get(name), list) and isinstance(unwanted, list):
            target[name] = [each for each in target[name] if each not in unwanted]
    for name, value in change.items():
        _merge_field(target, name, value, definition, orders.pop(name, None))
    for name, order in orders.items():
        if isinstance(target.get(name), list):
            target[name] = _ordered(target[name], order, target[name], _field(definition, name).patch_merge_key)
    return target


def _unmergeable(told: str) -> ApiError:
    return ApiError(500, "", told)


def _bad_directive(change: dict) -> ApiError:
    return _unmergeable(f"unknown patch type: {as_go_prints(change['$patch'])} in map: {as_go_prints(change)}")


def _retained(target: dict, change: dict, retained: Any) -> dict:
    """Return what of target may stay; the patch itself may set nothing else."""
    if not isinstance(retained, list):
        raise errors.bad_request("invalid patch format of retainKeys")
    directives = (SET_ORDER, DELETE_FROM)
    if any(
        name not in retained for name, value in change.items() if value is not None and not name.startswith(directives)
    ):
        raise Unpatchable("patch content doesn't match retainKeys list")
    return {name: value for name, value in target.items() if name in retained}


def _check_order(change: Any, order: Any, key: str | None) -> None:
    """Refuse an order that is no list, or that lacks what the patch sets."""
    if not isinstance(order, list):
        given = GO_TYPES.get(type(order), "string")
        given = {"object": "map[string]interface {}", "number": "int64"}.get(given, given)
        raise _unmergeable(f"expected a []interface {{}}, but received a {given}")
    places = iter([_identity(each, key) for each in order])
    for each in change if isinstance(change, list) else ():
        is_deleted = isinstance(each, dict) and each.get("$patch") == "delete"
        if not is_deleted and _identity(each, key) not in places:  # which goes on from where it stands
            patch, wanted = as_go_prints(change), as_go_prints(order)
            raise _unmergeable(f"The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{wanted}\n")


def _take(change: dict, prefix: str) -> dict:
    found = {name: change.pop(name) for name in list(change) if name.startswith(prefix)}
    return {name[len(prefix) :]: value for name, value in found.items()}


def _field(definition: str | None, name: str) -> schema.FieldInfo:
    return schema.field(definition or "", name)


def _merge_field(target: dict, name: str, value: Any, definition: str | None, order: list | None) -> None:
    if value is None:
        target.pop(name, None)
        return
    info = _field(definition, name)
    held = target.get(name)
    if isinstance(value, dict):
        replaces = info.patch_strategy == "replace"
        below = info.definition if not info.is_map else None
        base = held if isinstance(held, dict) and not replaces else {}
        target[name] = strategic_merge(base, value, below)
    elif isinstance(value, list) and "merge" in (info.patch_strategy or ""):
        held = held if isinstance(held, list) else []
        target[name] = _ordered(_merge_list(held, value, info), order or value, held, info.patch_merge_key)
    else:
        target[name] = value


def _merge_list(held: list, change: list, info: schema.FieldInfo) -> list:
    key = info.patch_merge_key
    if any(isinstance(each, list) for each in [*held, *change]):
        raise Unpatchable("lists of lists are not supported")
    if len({type(each) for each in [*held, *change]}) > 1:
        raise _unmergeable(f"list element types are not identical: {as_go_prints([held, change])}")
    if any(isinstance(each, dict) and each.get("$patch") == "replace" for each in change):
        return [each for each in change if not (isinstance(each, dict) and "$patch" in each)]
    if not key or not all(isinstance(each, dict) for each in change):
        return held + [each for each in change if each not in held]
    result = list(held)
    for each in change:
        if each.get("$patch", "delete") != "delete":
            raise _bad_directive(each)
        if key not in each:
            raise _unmergeable(f"map: {as_go_prints(each)} does not contain declared merge key: {key}")
        at = next((i for i, one in enumerate(result) if one.get(key) == each[key]), None)
        if "$patch" in each:
            result = [one for one in result if one.get(key) != each[key]]
        elif at is None:
            result.append(strategic_merge({}, each, info.definition))
        else:
            result[at] = strategic_merge(result[at], each, info.definition)
    return result


def _ordered(merged: list, order: list, held: list, key: str | None) -> list:
    """Return a merged list in the order that the patch asks for, or has itself.

    What the patch does not name keeps its order, and stands before what it once stood before, as upstream has it.
    """
    rank, place = ({_identity(each, key): at for at, each in enumerate(given)} for given in (order, held))
    named: list = []
    rest: list = []
    result: list = []
    for each in merged:
        (named if _identity(each, key) in rank else rest).append(each)
    named.sort(key=lambda each: rank[_identity(each, key)])
    while named and rest:
        at, other = (place.get(_identity(each[0], key)) for each in (named, rest))
        stays = at is not None and other is not None and other < at
        result.append((rest if stays else named).pop(0))
    return [*result, *named, *rest]


def _identity(item: Any, key: str | None) -> bytes:
    return orjson.dumps(item.get(key) if key and isinstance(item, dict) else item)
