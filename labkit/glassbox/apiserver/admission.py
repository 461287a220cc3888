"""What is checked and filled in beyond the object itself: its namespace, its service account.

Stands for the admission plugins NamespaceLifecycle and the parts of ServiceAccount that need no token. Each plugin is a
function (request, object, api) that changes the object or raises ApiError 403 or 404.

Left out: webhooks, quotas, limit ranges, pod security: later plugins of the same shape.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.priority_class import SYSTEM

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
IMMORTAL = {
    "namespaces": (("default", "kube-system", "kube-public"), "this namespace may not be deleted"),
    "priorityclasses": (tuple(SYSTEM), "this is a system priority class and cannot be deleted"),
}


def namespace_exists(request: Request, obj: dict, api: Api) -> None:
    """Refuse a creation in a namespace that is missing or terminating."""
    namespace = request.route.namespace
    if not namespace:
        return
    row = api.store.get(key(REGISTRY.find("namespaces"), "", namespace))
    if row is None:
        raise errors.not_found("namespaces", namespace)
    if b'"deletionTimestamp"' in row.value and "deletionTimestamp" in orjson.loads(row.value)["metadata"]:
        raise _terminating(request, obj, namespace)


def _terminating(request: Request, obj: dict, namespace: str) -> errors.ApiError:
    resource = request.resource
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = errors.forbidden(resource.plural, obj["metadata"].get("name", ""), why, resource.group)
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    error.details = {**(error.details or {}), "causes": [cause]}
    return error


def service_account_exists(request: Request, obj: dict, api: Api) -> None:
    """Name the default service account on a pod; refuse a pod whose account does not exist."""
    if request.resource.plural != "pods":
        return
    spec = obj["spec"] if isinstance(obj.get("spec"), dict) else {}
    name = spec.get("serviceAccountName") or "default"
    if "kubernetes.io/config.mirror" in (obj["metadata"].get("annotations") or {}):
        return
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    if api.store.get(key(REGISTRY.find("serviceaccounts"), request.route.namespace, name)) is None:
        missing = f'serviceaccount "{name}" not found'
        why = f"error looking up service account {request.route.namespace}/{name}: {missing}"
        raise errors.forbidden("pods", obj["metadata"].get("name", ""), why)


def priority(request: Request, obj: dict, api: Api) -> None:
    """Give a pod the priority of no class: PriorityClasses are not served yet."""
    if request.resource.plural == "pods" and not (obj.get("spec") or {}).get("priorityClassName"):
        spec = obj.setdefault("spec", {})
        spec["priority"] = 0
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")


def tolerate_lost_nodes_for_a_while(request: Request, obj: dict, api: Api) -> None:
    """Let a pod stay five minutes on a node that is not ready or cannot be reached."""
    if request.resource.plural != "pods":
        return
    spec = obj.setdefault("spec", {})
    held = spec.get("tolerations") or []
    for taint in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(
            each.get("key") in (taint, None, "") and each.get("effect") in ("NoExecute", None, "") for each in held
        ):
            new = {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            held = [*held, new]
    spec["tolerations"] = held


def taint_new_node(request: Request, obj: dict, api: Api) -> None:
    """Keep pods off a node until its conditions say Ready."""
    if request.resource.plural != "nodes":
        return
    spec = obj.setdefault("spec", {})
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    if not any(each.get("key") == taint["key"] for each in spec.get("taints") or []):
        spec["taints"] = [*(spec.get("taints") or []), taint]


ON_CREATE: tuple[Callable[[Request, dict, Api], None], ...] = (
    namespace_exists,
    service_account_exists,
    priority,
    tolerate_lost_nodes_for_a_while,
    taint_new_node,
)


def admit_create(request: Request, obj: dict, api: Api) -> None:
    """Let every plugin see a new object, in order."""
    for plugin in ON_CREATE:
        plugin(request, obj, api)


def admit_delete(request: Request, name: str) -> None:
    """Keep what the system lives in. Raises ApiError 403."""
    kept, why = IMMORTAL.get(request.resource.plural, ((), ""))
    if name in kept:
        raise errors.forbidden(request.resource.plural, name, why, request.resource.group)
