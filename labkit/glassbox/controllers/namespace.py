"""Empties a namespace that is being deleted, then lets it go.

A namespace's deletion only marks it (the API server then refuses new objects in it). This controller deletes everything
in it, pods before all else (they may need their secrets and addresses to the end), waits until the last of it has gone,
and takes its own finalizer out of spec.finalizers; then the API server removes it.

Upstream: pkg/controller/namespace/deletion/namespaced_resources_deleter.go, status_condition_utils.go
"""

from __future__ import annotations

from collections import Counter

from labkit.glassbox import objects
from labkit.glassbox.client import Client
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.resource import Resource

LOOK_AGAIN = 5.0  # seconds; sooner when something in the namespace goes


class NamespaceController(Controller):
    """The key is a namespace."""

    name = "namespace-controller"
    workers = 4

    @property
    def watches(self):
        inside = [each for each in namespaced() if each.called in self.cache]  # of events there is no copy
        return {"namespaces": itself} | {each.called: self._concerned_by(each) for each in inside}

    def _concerned_by(self, resource: Resource):
        """What has gone concerns its namespace, if that waits for it."""

        def keys(obj: dict) -> list[str]:
            namespace = self.cache["namespaces"].get(objects.namespace(obj))
            if namespace is None or not objects.is_deleting(namespace):
                return []
            still_there = self.cache[resource.called].get(objects.key(obj)) is not None
            return [] if still_there else [objects.name(namespace)]

        return keys

    def reconcile(self, key: str) -> None:
        namespace = self.cache["namespaces"].get(key)
        if namespace is None or not objects.is_deleting(namespace):
            return
        left = self.empty(key)
        namespace = self.report(namespace, left)
        if left:
            self.queue.add_after(key, LOOK_AGAIN)
            return
        finalizers = [each for each in namespace["spec"].get("finalizers") or [] if each != "kubernetes"]
        if finalizers != namespace["spec"].get("finalizers"):
            self.api.finalize({**namespace, "spec": {**namespace["spec"], "finalizers": finalizers}})

    def empty(self, namespace: str) -> dict[str, list[dict]]:
        """Delete what is in the namespace; return resource → objects that are still there."""
        if pods := emptied(self.api, "pods", namespace):
            return {"pods.": pods}
        left = {f"{each.plural}.{each.group}": emptied(self.api, each.group_plural, namespace) for each in namespaced()}
        return {resource: found for resource, found in left.items() if found}

    def report(self, namespace: dict, left: dict[str, list[dict]]) -> dict:
        """Say in the conditions what is left; return the namespace as it is then."""
        status = namespace.get("status") or {}
        changed = status.get("conditions") or []
        for new in conditions(left):
            changed = objects.set_condition(changed, new, self.now())
        if changed == status.get("conditions"):
            return namespace
        return self.api.update_status("namespaces", {**namespace, "status": {**status, "conditions": changed}})


def namespaced() -> list[Resource]:
    """Return every kind that lives in namespaces, each once."""
    return [each for each in REGISTRY.all() if each.namespaced and each.is_primary and "delete" in each.verbs]


def emptied(api: Client, resource: str, namespace: str) -> list[dict]:
    """Delete all objects of a kind in a namespace; return those that are still there."""
    found = api.list(resource, namespace)["items"]
    if all(map(objects.is_deleting, found)):
        return found
    api.delete_collection(resource, namespace)
    return api.list(resource, namespace)["items"]


def conditions(left: dict[str, list[dict]]) -> list[dict]:
    """Return the conditions of a namespace in which so much is left."""
    finalizers = Counter(
        finalizer for found in left.values() for obj in found for finalizer in obj["metadata"].get("finalizers") or []
    )
    resources = [f"{resource} has {len(found)} resource instances" for resource, found in sorted(left.items())]
    held = [f"{finalizer} in {count} resource instances" for finalizer, count in sorted(finalizers.items())]
    return [
        _condition("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
        _condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        _condition(
            "NamespaceDeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        _condition(
            "NamespaceContentRemaining",
            "SomeResourcesRemain",
            f"Some resources are remaining: {', '.join(resources)}",
            is_true=True,
        )
        if resources
        else _condition("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
        _condition(
            "NamespaceFinalizersRemaining",
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {', '.join(held)}",
            is_true=True,
        )
        if held
        else _condition(
            "NamespaceFinalizersRemaining",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    ]


def _condition(type: str, reason: str, message: str, is_true: bool = False) -> dict:
    return {"type": type, "status": "True" if is_true else "False", "reason": reason, "message": message}
