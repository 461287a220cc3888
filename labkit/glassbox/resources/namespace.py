"""Namespace: a room for names.

Upstream: pkg/registry/core/namespace/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import ALL_VERBS, Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import metadata, names
from labkit.glassbox.resources.validation.fields import invalid


class NamespaceStrategy(Strategy):
    """A namespace goes when its own finalizer, `kubernetes`, has been taken out of spec.finalizers."""

    has_status = True
    empty_status = {"phase": "Active"}
    name_rule = staticmethod(names.dns_label)

    def faults(self, obj: dict) -> Iterable[Cause]:
        return metadata.finalizers_of_namespace((obj.get("spec") or {}).get("finalizers") or [], with_index=False)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return ()

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        phase, told = (obj.get("status") or {}).get("phase", ""), "may only be '{}' if `deletionTimestamp` is {}empty"
        wanted, no = ("Terminating", "not ") if old["metadata"].get("deletionTimestamp") else ("Active", "")
        return [invalid("status.Phase", phase, told.format(wanted, no))] if phase != wanted else []

    def default(self, obj: dict) -> None:
        self._name_in_label(obj)

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        finalizers = obj.setdefault("spec", {}).get("finalizers") or []
        obj["spec"]["finalizers"] = [*finalizers, *(["kubernetes"] if "kubernetes" not in finalizers else [])]
        self._name_in_label(obj)

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        super().prepare_for_update(obj, old)
        obj["spec"] = old.get("spec", {})

    def mark_deleted(self, obj: dict, grace: int, now: str) -> None:
        obj.setdefault("status", {})["phase"] = "Terminating"

    def _name_in_label(self, obj: dict) -> None:
        metadata = obj["metadata"]
        if metadata.get("name"):
            metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]


NAMESPACES = Resource(
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    strategy=NamespaceStrategy(),
    verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
    short_names=("ns",),
    subresources=("finalize", "status"),
    columns=(NAME, Column("Status", at("status.phase"), description="The status of the namespace"), AGE),
    field_labels=("status.phase",),
)
