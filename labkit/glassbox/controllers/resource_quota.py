"""Counts what a namespace's objects take of its quotas.

Admission charges for what is created; this controller writes the first count, and counts anew when something goes, ends
or changes. It asks the API, not a copy: between its reading the quota and its writing it, nothing can have been charged
unnoticed, since a charge is a write to the quota.

Upstream: pkg/controller/resourcequota/resource_quota_controller.go
"""

from __future__ import annotations

from labkit.glassbox import objects, quota
from labkit.glassbox.controller import Controller
from labkit.glassbox.quota import Amounts
from labkit.glassbox.resources import Resource

QUOTAS = "resourcequotas"
CHANGING = ("services", "persistentvolumeclaims")  # a change of one may free something


class ResourceQuotaController(Controller):
    """The key is a quota."""

    name = "resourcequota-controller"

    @property
    def watches(self):
        return {resource: self._concerned_by(resource) for resource in self.cache}

    def _concerned_by(self, resource: str):
        """What has gone or ended, or changed its size, concerns the quotas of its namespace."""

        def keys(obj: dict) -> list[str]:
            if resource == QUOTAS and is_uncounted(obj):
                return [objects.key(obj)]
            held = self.cache[QUOTAS].list(objects.namespace(obj)) if objects.namespace(obj) else ()
            if not held:
                return []
            there = self.cache[resource].get(objects.key(obj)) is not None
            ended = resource == "pods" and (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
            return [] if there and not ended and resource not in CHANGING else [objects.key(each) for each in held]

        return keys

    def reconcile(self, key: str) -> None:
        namespace, _, name = key.partition("/")
        found = self.api.list(QUOTAS, namespace, field_selector=f"metadata.name={name}")["items"]
        for each in found:
            hard = objects.dig(each, "spec.hard") or {}
            status = {"hard": hard, "used": self.count(each, hard)}
            if status != {field: objects.dig(each, f"status.{field}") for field in status}:
                self.api.update_status(QUOTAS, {**each, "status": status})

    def count(self, held: dict, hard: Amounts) -> Amounts:
        """Return what is used of each name that the quota bounds."""
        used = dict.fromkeys(hard, "0")
        kinds = {kind.group_plural: kind for name in hard if (kind := quota.counted(name))}
        for kind in kinds.values():
            for obj in self.api.list(kind.group_plural, objects.namespace(held))["items"]:
                if quota.applies(held, kind, obj):
                    used = quota.added(used, of(kind, obj, used))
        return used


def is_uncounted(held: dict) -> bool:
    """Tell whether the count is missing, or of other bounds."""
    return objects.dig(held, "spec.hard") != objects.dig(held, "status.hard") or not objects.dig(held, "status.used")


def of(kind: Resource, obj: dict, names: Amounts) -> Amounts:
    return quota.only(quota.usage(kind, obj), names)
