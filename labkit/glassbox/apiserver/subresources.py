"""scale, binding, finalize: small doors beside an object's main one.

status needs no code of its own: it is read like the object and written through the strategy's status hooks.

Upstream: pkg/registry/apps/deployment/storage/storage.go, pkg/registry/core/pod/storage/storage.go,
pkg/registry/core/namespace/storage/storage.go
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as with_changes
from typing import Any

import orjson

from labkit.glassbox import clock, errors, objects
from labkit.glassbox.apiserver import managed
from labkit.glassbox.apiserver.admission import webhooks
from labkit.glassbox.apiserver.apply import configuration, merged_into, refusal
from labkit.glassbox.apiserver.decoding import body_object, check_kind, decode
from labkit.glassbox.apiserver.fields.managers import Conflict
from labkit.glassbox.apiserver.objects_at_rest import as_served
from labkit.glassbox.apiserver.patch import patch_type, patched_body
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import APPLY_PATCH, Answer, Api, Request
from labkit.glassbox.apiserver.writes import (
    apply_update,
    check_name,
    check_namespace,
    check_uid,
    check_version,
    replace,
)
from labkit.glassbox.errors import ApiError, Cause
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.component_status import BINDINGS
from labkit.glassbox.resources.scale import SCALE
from labkit.glassbox.resources.validation import metadata, pods
from labkit.glassbox.selectors import OPERATORS
from labkit.glassbox.store import Row


def scale_of(obj: dict, paths: dict | None = None) -> dict:
    """Return the Scale of a workload; the selector of a ReplicationController is a plain map."""
    if paths:
        return custom_scale(obj, paths)
    meta = obj["metadata"]
    shown = {field: meta[field] for field in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    replicas = obj["spec"].get("replicas", 0)
    status = {"replicas": (obj.get("status") or {}).get("replicas", 0)}
    selector = obj["spec"].get("selector") or {}
    status["selector"] = selector_text(
        {"matchLabels": selector} if obj["kind"] == "ReplicationController" else selector
    )
    spec = {"replicas": replicas} if replicas else {}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status}


def custom_scale(obj: dict, paths: dict) -> dict:
    """Return the Scale of a custom resource, whose definition says where its numbers are."""

    def at(path: str) -> Any:
        return objects.dig(obj, paths[path][1:]) if path in paths else None

    replicas, selector = at("specReplicasPath"), at("labelSelectorPath")
    same = {**obj, "spec": {"replicas": replicas or 0}, "status": {"replicas": at("statusReplicasPath") or 0}}
    shown = scale_of(same)
    shown["status"] = {"replicas": shown["status"]["replicas"], **({"selector": selector} if selector else {})}
    return shown


def set_replicas(obj: dict, path: str, replicas: int) -> None:
    *parents, last = path[1:].split(".")
    for part in parents:
        obj = obj.setdefault(part, {})
    obj[last] = replicas


def scale_paths(request: Request) -> dict | None:
    return request.resource.custom.scale if request.resource.custom else None


def selector_text(selector: dict) -> str:
    """Return a LabelSelector as kubectl's -l takes it, terms sorted by their keys."""
    terms = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or []:
        operator, values = OPERATORS[each["operator"]], ",".join(sorted(each.get("values") or []))
        if operator in ("exists", "!"):
            terms.append((each["key"], ("!" if operator == "!" else "") + each["key"]))
        else:
            terms.append((each["key"], f"{each['key']} {operator} ({values})"))
    return ",".join(term for _, term in sorted(terms, key=lambda pair: pair[0]))


def get_scale(request: Request, api: Api) -> Answer:
    return Answer(obj=scale_of(_parent(request, api)[1], scale_paths(request)))


def _parent(request: Request, api: Api) -> tuple[Row, dict]:
    row = read(api.store, request.resource, request.route.namespace, request.route.name)
    return row, as_served(request.resource, orjson.loads(row.value))


def update_scale(request: Request, api: Api) -> Answer:
    """Set spec.replicas of the parent. Raises ApiError 400, 404, 409, 422."""
    request.check_options("UpdateOptions")
    scale = body_object(request, "Scale") or {}
    check_kind(scale, SCALE, request.body)
    scale.setdefault("metadata", {})
    check_name(scale, request.route.name)
    return _set_scale(request, api, scale)


def patch_scale(request: Request, api: Api) -> Answer:
    media = patch_type(request)
    request.check_options("PatchOptions")
    if media == APPLY_PATCH:
        return _apply_scale(request, api)
    scale = scale_of(_parent(request, api)[1], scale_paths(request))
    return _set_scale(request, api, patched_body(request, SCALE, scale))


def _apply_scale(request: Request, api: Api) -> Answer:
    """Apply a Scale: what it says of the replicas is applied to the parent, whose managers stand for the Scale's."""
    scale = configuration(request, SCALE.api_version, SCALE.kind, managed.shape_of(SCALE))
    check_name(scale | {"metadata": scale.get("metadata") or {}}, request.route.name)
    parent, resource = _parent(request, api)[1], request.resource
    config = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": request.route.name}}
    path = (scale_paths(request) or {}).get("specReplicasPath", ".spec.replicas")
    if (replicas := (scale.get("spec") or {}).get("replicas")) is not None:
        set_replicas(config, path, replicas)
    try:
        merged, entries = merged_into(_whole(request), api, parent, config)
    except Conflict as conflict:
        raise refusal([({**entry, "apiVersion": SCALE.api_version}, path) for entry, path in conflict.found]) from None
    wanted = {"metadata": scale["metadata"], "spec": {"replicas": objects.dig(merged, path[1:]) or 0}}
    return _set_scale(request, api, wanted, entries)


def _set_scale(request: Request, api: Api, scale: dict, entries: list | None = None) -> Answer:
    row, obj = _parent(request, api)
    check_version(request.resource, row, scale["metadata"])
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        cause = Cause("FieldValueInvalid", message, "spec.replicas")
        raise errors.invalid("Scale", "autoscaling", request.route.name, [cause])
    paths = scale_paths(request)
    webhooks.review(request, "UPDATE", scale, scale_of(obj, paths), api)
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    set_replicas(obj, paths["specReplicasPath"] if paths else ".spec.replicas", replicas)
    changed = apply_update(_whole(request), api, row, obj, entries)
    return Answer(obj=scale_of(orjson.loads(changed.raw or b""), paths))


def _whole(request: Request) -> Request:
    """Return the request as one to the parent itself."""
    to_parent = with_changes(request.route, subresource="")
    return with_changes(request, route=to_parent, through=request.route.subresource, warnings=[], reviewed=False)


def bind(request: Request, api: Api) -> Answer:
    """Give a pod its node: what a scheduler decides. Raises ApiError 400, 404, 409, 500."""
    request.check_options("CreateOptions")
    binding = decode(request, BINDINGS)
    check_namespace(binding, request)
    if binding["metadata"].get("name") != request.route.name:
        raise errors.bad_request("name in URL does not match name in Binding object")
    target = binding.get("target") or {}
    if faults := [f"{each.field}: {each.message}" for each in pods.binding(target)]:
        raise ApiError(500, "", faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")
    row, pod = _parent(request, api)
    webhooks.review(request, "CREATE", binding, None, api)
    check_uid(request.resource, row, binding)
    if why := _unbindable(pod):
        raise errors.conflict("pods/binding", request.route.name, f"pod {request.route.name} {why}")
    old, meta = orjson.loads(row.value), pod["metadata"]
    for name in ("annotations", "labels"):
        if given := binding["metadata"].get(name):
            meta[name] = {**meta.get(name, {}), **given}
    pod["spec"]["nodeName"] = target["name"]
    pod.setdefault("status", {})["conditions"] = _scheduled(pod, api.clock.now())
    pod["status"].pop("nominatedNodeName", None)
    replace(request, api, row, pod, old)
    return Answer(201, obj={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def _unbindable(pod: dict) -> str:
    """Return why a pod cannot be given a node, "" if it can."""
    if "deletionTimestamp" in pod["metadata"]:
        return "is being deleted, cannot be assigned to a host"
    if held := pod["spec"].get("nodeName"):
        return f'is already assigned to node "{held}"'
    return "has non-empty .spec.schedulingGates" if pod["spec"].get("schedulingGates") else ""


def bind_named(request: Request, api: Api) -> Answer:
    """Bind the pod that the body names: the door beside the pods. Raises ApiError as bind does."""
    parent, name = REGISTRY.find("pods"), decode(request, BINDINGS)["metadata"].get("name", "")
    route = with_changes(request.route, name=name, plural=parent.plural, subresource="binding", resource=parent)
    return bind(with_changes(request, route=route, resource=parent), api)


def _scheduled(pod: dict, now: float) -> list[dict]:
    kept = [each for each in pod["status"].get("conditions") or [] if each["type"] != "PodScheduled"]
    new = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": clock.rfc3339(now)}
    return [*kept, new]


def finalize(request: Request, api: Api) -> Answer:
    """Set a namespace's spec.finalizers; with the last one it goes. Raises ApiError 404, 409."""
    obj = decode(request, request.resource)
    check_name(obj, request.route.name)
    row, old = _parent(request, api)
    check_version(request.resource, row, obj["metadata"])
    wanted = (obj.get("spec") or {}).get("finalizers") or []
    if causes := list(metadata.finalizers_of_namespace(wanted, with_index=True)):
        raise errors.invalid("Namespace", "", request.route.name, causes)
    webhooks.review(request, "UPDATE", obj, old, api)
    new = orjson.loads(row.value)
    new["spec"] = {"finalizers": wanted} if wanted else {}
    return replace(request, api, row, new, old)


HANDLERS: dict[tuple[str, str], Callable[[Request, Api], Answer]] = {
    ("scale", "get"): get_scale,
    ("scale", "update"): update_scale,
    ("scale", "patch"): patch_scale,
    ("binding", "create"): bind,
    ("finalize", "update"): finalize,
}
