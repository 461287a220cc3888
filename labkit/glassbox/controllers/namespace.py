"""Empties a namespace that is being deleted, then lets it go.

A namespace's deletion only marks it (the API server then refuses new objects in it). This controller deletes everything
in it, waits until the last of it has ended, and takes its own finalizer out of spec.finalizers; then the API server
removes it.

Upstream: pkg/controller/namespace/deletion/namespaced_resources_deleter.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.client import Client
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.resources import REGISTRY

LOOK_AGAIN = 0.1  # seconds; what goes is not told to this controller, so it looks, less often each time
LONGEST = 5.0


class NamespaceController(Controller):
    """Discovers what kinds there are, so that none is forgotten."""

    name = "namespace-controller"
    workers = 4

    @property
    def watches(self):
        return {"namespaces": itself}

    def reconcile(self, key: str) -> None:
        namespace = self.cache["namespaces"].get(key)
        if namespace is None or not objects.is_deleting(namespace):
            return
        left = {resource: empty(self.api, resource, key) for resource in namespaced()}
        if any(left.values()):
            self.report(namespace, {resource: count for resource, count in left.items() if count})
            self.queue.add_after(key, self.pause(key))
            return
        self.queue.forget(key)
        finalizers = [each for each in namespace["spec"].get("finalizers") or [] if each != "kubernetes"]
        if finalizers != namespace["spec"].get("finalizers"):
            done = {**namespace, "spec": {**namespace["spec"], "finalizers": finalizers}}
            self.api.finalize(done)

    def pause(self, key: str) -> float:
        tries = self.queue.failures[key] = self.queue.failures.get(key, 0) + 1
        return min(LOOK_AGAIN * 1.5 ** (tries - 1), LONGEST)

    def report(self, namespace: dict, left: dict[str, int]) -> None:
        """Say in the conditions what is left, as upstream words it."""
        told = ", ".join(f"{resource} has {count} resource instances" for resource, count in sorted(left.items()))
        new = {
            "type": "NamespaceContentRemaining",
            "status": "True",
            "reason": "SomeResourcesRemain",
            "message": f"Some resources are remaining: {told}",
        }
        if (objects.condition(namespace, new["type"]) or {}).get("message") == new["message"]:
            return
        status = namespace.get("status") or {}
        conditions = objects.set_condition(status.get("conditions"), new, self.now())
        self.api.update_status("namespaces", {**namespace, "status": {**status, "conditions": conditions}})


def namespaced() -> list[str]:
    """Return every kind that lives in namespaces, each once."""
    return [each.group_plural for each in REGISTRY.all() if each.namespaced and each.stored_as is None]


def empty(api: Client, resource: str, namespace: str) -> int:
    """Delete all objects of a kind in a namespace; return how many are still there."""
    found = api.list(resource, namespace)["items"]
    if not found:
        return 0
    if not all(objects.is_deleting(obj) for obj in found):
        api.delete_collection(resource, namespace)
    return len(api.list(resource, namespace)["items"])
