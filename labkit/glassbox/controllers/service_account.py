"""Sees to it that each namespace has its `default` service account, at once: a pod cannot be made without it.

Upstream: pkg/controller/serviceaccount/serviceaccounts_controller.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.errors import ApiError


class ServiceAccountController(Controller):
    """The key is a namespace."""

    name = "service-account-controller"

    @property
    def watches(self):
        return {"namespaces": itself, "serviceaccounts": lambda account: [objects.namespace(account)]}

    def reconcile(self, key: str) -> None:
        namespace = self.cache["namespaces"].get(key)
        if namespace is None or objects.is_deleting(namespace):
            return
        if self.cache["serviceaccounts"].get(f"{key}/default"):
            return
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": key}}
        try:
            self.api.create("serviceaccounts", account)
        except ApiError as error:
            if error.code not in (403, 404, 409):  # the namespace goes away, or the copy is behind
                raise
