"""NodeRestriction: a node writes to its own Node, its own lease, and the pods that are bound to it, to nothing else.

What the node authorizer cannot see, because it is in the object: whose pod it is, which labels change. A node cannot
label or taint itself into getting pods that are not meant for it, and its tokens are bound to pods that it runs.

Upstream: plugin/pkg/admission/noderestriction/admission.go, staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from labkit.glassbox import errors, objects
from labkit.glassbox.apiserver.authorization.node import LEASES, node_name
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.pod_references import references
from labkit.glassbox.resources import REGISTRY

MIRROR = "kubernetes.io/config.mirror"
OWN_LABELS = (
    *("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"),
    *("beta.kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type"),
    *("topology.kubernetes.io/zone", "topology.kubernetes.io/region", "node.kubernetes.io/instance-type"),
    *("failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"),
)
OWN_DOMAINS, RESTRICTED = ("kubelet.kubernetes.io", "node.kubernetes.io"), "node-restriction.kubernetes.io"


def restrict_create(request: Request, obj: dict, api: Api) -> None:
    """Refuse what a node must not make. Raises ApiError 403 or 404."""
    node = node_name(request.user)
    if not node:
        return
    name, plural = obj["metadata"].get("name", ""), request.resource.called
    if plural == "pods":
        _mirror_pod(request, obj, node, api)
    elif plural == "nodes":
        _own_node(request, node, name)
        if labels := ", ".join(forbidden_labels(objects.labels(obj), {})):
            raise _refused(request, name, f'node "{node}" is not allowed to set the following labels: {labels}')
    elif plural == "leases":
        if request.route.namespace != LEASES:
            raise _refused(request, name, f'can only access leases in the "{LEASES}" system namespace')
        if name != node:
            told = "can only access node lease with the same name as the requesting node"
            raise _refused(request, name, told)
    elif plural == "csinodes" and name != node:
        raise _refused(request, name, "can only access CSINode with the same name as the requesting node")


def restrict_update(request: Request, obj: dict, old: dict, api: Api) -> None:
    """Refuse what a node must not change. Raises ApiError 403."""
    node, plural = node_name(request.user), request.resource.called
    if not node or plural not in ("nodes", "pods"):
        return
    name = request.route.name
    if plural == "pods":
        _own_pod(request, old, node, "can only update pod status for pods")
        if objects.labels(obj) != objects.labels(old):
            raise _refused(request, name, f'node "{node}" cannot update labels through pod status')
        return
    _own_node(request, node, name)
    if objects.dig(obj, "spec.taints") != objects.dig(old, "spec.taints"):
        raise _refused(request, name, f'node "{node}" is not allowed to modify taints')
    if labels := ", ".join(forbidden_labels(objects.labels(obj), objects.labels(old))):
        raise _refused(request, name, f"is not allowed to modify labels: {labels}")


def restrict_delete(request: Request, name: str, api: Api) -> None:
    """Refuse the deletion of a pod of another node. Raises ApiError 403 or 404."""
    if (node := node_name(request.user)) and request.resource.called == "pods":
        _own_pod(request, _pod(request, name, api), node, "can only delete pods")


def restrict_eviction(request: Request, pod: dict) -> None:
    """Refuse the eviction of a pod of another node. Raises ApiError 403."""
    node = node_name(request.user)
    if node and pod["spec"].get("nodeName") != node:
        told = f"node {node} can only evict pods with spec.nodeName set to itself"
        raise _refused(request, request.route.name, told)


def restrict_token(request: Request, spec: dict, api: Api) -> None:
    """Refuse a node a token that is not bound to a pod of its own. Raises ApiError 403 or 404."""
    node, reference = node_name(request.user), spec.get("boundObjectRef") or {}
    if not node:
        return
    name = request.route.name
    if (reference.get("apiVersion"), reference.get("kind")) != ("v1", "Pod") or not reference.get("name"):
        raise _refused(request, name, "node requested token not bound to a pod")
    if not reference.get("uid"):
        raise _refused(request, name, "node requested token with a pod binding without a uid")
    if _pod(request, reference["name"], api)["spec"].get("nodeName") != node:
        raise _refused(request, name, "node requested token bound to a pod scheduled on a different node")


def _pod(request: Request, name: str, api: Api) -> dict:
    return orjson.loads(read(api.store, REGISTRY.find("pods"), request.route.namespace, name).value)


def _own_pod(request: Request, pod: dict, node: str, what: str) -> None:
    if pod["spec"].get("nodeName") != node:
        raise _refused(request, objects.name(pod), f'node "{node}" {what} with spec.nodeName set to itself')


def _own_node(request: Request, node: str, name: str) -> None:
    if name != node:
        raise _refused(request, name, f'node "{node}" is not allowed to modify node "{name}"')


def _mirror_pod(request: Request, pod: dict, node: str, api: Api) -> None:
    name = pod["metadata"].get("name", "")
    for told in _mirror_faults(pod, node, api):
        raise _refused(request, name, told)


def _mirror_faults(pod: dict, node: str, api: Api) -> Iterator[str]:
    if MIRROR not in objects.annotations(pod):
        yield f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
    if pod["spec"].get("nodeName") != node:
        yield f'node "{node}" can only create pods with spec.nodeName set to itself'
    row = api.store.get(key(REGISTRY.find("nodes"), "", node))
    itself = ("v1", "Node", node, objects.uid(orjson.loads(row.value)) if row else "", True)
    owners = [
        tuple(each.get(field) for field in ("apiVersion", "kind", "name", "uid", "controller"))
        for each in objects.owners(pod)
    ]
    if owners != [itself]:
        yield f'node "{node}" can only create pods with a controller owner reference set to itself'
    if pod["spec"].get("serviceAccountName"):
        yield f'node "{node}" can not create pods that reference a service account'
    for resource, _ in references(pod):
        if resource != "serviceaccounts":
            yield f'node "{node}" can not create pods that reference {resource}'


def forbidden_labels(new: dict, old: dict) -> list[str]:
    """Return which of the labels that change are not a node's to change."""
    changed = {name for name in new.keys() | old.keys() if new.get(name) != old.get(name)}
    return sorted(name for name in changed if not may_label(name))


def may_label(name: str) -> bool:
    domain = name.rpartition("/")[0]
    if _within(domain, (RESTRICTED,)):
        return False
    return name in OWN_LABELS or _within(domain, OWN_DOMAINS) or not _within(domain, ("kubernetes.io", "k8s.io"))


def _within(domain: str, domains: tuple[str, ...]) -> bool:
    return any(domain == each or domain.endswith(f".{each}") for each in domains)


def _refused(request: Request, name: str, why: str) -> errors.ApiError:
    return errors.forbidden(request.resource.called, name, why, request.resource.group)
