"""What is checked and filled in beyond the object itself: its namespace, its account, its classes.

Stands for kube-apiserver's admission plugins. Each is a function (request, object, api) that changes the object or
raises ApiError 403 or 404; one file a plugin, the small ones here. Those that only refuse see the object once it is
complete and valid.

Upstream: pkg/kubeapiserver/options/plugins.go, …/admission/plugin/namespace/lifecycle/admission.go
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver.admission import webhooks
from labkit.glassbox.apiserver.admission.certificates import guard_signers, name_requestor
from labkit.glassbox.apiserver.admission.devices import check_admin_access
from labkit.glassbox.apiserver.admission.escalation import guard_roles
from labkit.glassbox.apiserver.admission.limit_ranger import check_limits, fill_limits
from labkit.glassbox.apiserver.admission.node_restriction import restrict_create, restrict_delete, restrict_update
from labkit.glassbox.apiserver.admission.pod_security import check_pod_security
from labkit.glassbox.apiserver.admission.priority import one_default_class, priority
from labkit.glassbox.apiserver.admission.quota import Charge, check_quota
from labkit.glassbox.apiserver.admission.runtime_class import runtime_class
from labkit.glassbox.apiserver.admission.service_account import service_account
from labkit.glassbox.apiserver.admission.storage import (
    default_ingress_class,
    default_storage_class,
    protect_while_in_use,
    refuse_to_grow,
)
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.priority_class import SYSTEM

OF_EVICTION = (None, "", "NoExecute")
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


def taint_new_node(request: Request, obj: dict, api: Api) -> None:
    """Keep pods off a node until its conditions say Ready."""
    if request.resource.called != "nodes":
        return
    spec = obj.setdefault("spec", {})
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    if not any(each.get("key") == taint["key"] for each in spec.get("taints") or []):
        spec["taints"] = [*(spec.get("taints") or []), taint]


def default_tolerations(request: Request, obj: dict, api: Api) -> None:
    """Keep a pod for 300 s on a node that has gone silent, unless it says otherwise."""
    if request.resource.called != "pods" or request.route.subresource:
        return
    given = obj.setdefault("spec", {}).get("tolerations") or []
    kept = list(given)
    for name in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(each.get("key") in (None, "", name) and each.get("effect") in OF_EVICTION for each in given):
            kept.append({"key": name, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    obj["spec"]["tolerations"] = kept


ON_CREATE: tuple[Callable[[Request, dict, Api], None], ...] = (
    namespace_exists,
    restrict_create,
    guard_roles,
    service_account,
    fill_limits,
    default_tolerations,
    runtime_class,
    priority,
    one_default_class,
    default_storage_class,
    default_ingress_class,
    protect_while_in_use,
    taint_new_node,
    name_requestor,
)


def admit_create(request: Request, obj: dict, api: Api) -> None:
    """Let every plugin see a new object, in order."""
    for plugin in ON_CREATE:
        plugin(request, obj, api)


def validate_create(request: Request, obj: dict, api: Api) -> list[Charge]:
    """Let the plugins that only refuse see a new object; return to which quotas it is to be charged."""
    check_admin_access(request, obj, api)
    check_limits(request, obj, api)
    check_pod_security(request, obj, api)
    webhooks.validate(request, "CREATE", obj, None, api)
    return check_quota(request, obj, api)


def validate_update(request: Request, obj: dict, old: dict, api: Api) -> list[Charge]:
    """Do the same for a change."""
    if request.resource.called == "persistentvolumeclaims" and not request.route.subresource:
        check_limits(request, obj, api)
    check_admin_access(request, obj, api, old)
    check_pod_security(request, obj, api, old)
    refuse_to_grow(request, obj, old, api)
    webhooks.validate(request, "UPDATE", obj, old, api)
    return check_quota(request, obj, api, old)


def admit_update(request: Request, obj: dict, old: dict, api: Api) -> None:
    """Let the plugins that watch over changes see one."""
    restrict_update(request, obj, old, api)
    default_tolerations(request, obj, api)
    one_default_class(request, obj, api)
    guard_roles(request, obj, api, old)
    guard_signers(request, obj, old, api)


def admit_delete(request: Request, name: str, api: Api) -> None:
    """Keep what the system lives in, and another node's pods from a node. Raises ApiError 403 or 404."""
    restrict_delete(request, name, api)
    kept, why = IMMORTAL.get(request.resource.called, ((), ""))
    if name in kept:
        raise errors.forbidden(request.resource.called, name, why, request.resource.group)
