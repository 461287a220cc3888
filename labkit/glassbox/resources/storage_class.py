"""StorageClass: how volumes are made for claims that ask for this class.

Upstream: pkg/registry/storage/storageclass/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox import objects
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import drivers, group_warnings

PROVISIONER = "glassbox.labkit/host-path"  # of this cluster's own class `standard`
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def is_default(obj: dict, annotation: str = IS_DEFAULT) -> bool:
    return objects.annotations(obj).get(annotation) == "true"


def default_of(classes: list[dict], annotation: str = IS_DEFAULT) -> dict | None:
    """Return the class of claims, or of Ingresses, that name none: of several default ones the newest."""
    found = [each for each in classes if is_default(each, annotation)]
    return max(found, key=lambda each: each["metadata"]["creationTimestamp"], default=None)


class StorageClassStrategy(Strategy):
    def faults(self, obj: dict) -> Iterable[Cause]:
        return drivers.storage_class(obj)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return drivers.changed_storage_class(obj, old)

    def warnings(self, obj: dict) -> list[str]:
        return group_warnings.storage_class(obj)


def name(obj: dict, now: float) -> str:
    return objects.name(obj) + (" (default)" if is_default(obj) else "")


STORAGE_CLASSES = Resource(
    group="storage.k8s.io",
    kind="StorageClass",
    plural="storageclasses",
    namespaced=False,
    strategy=StorageClassStrategy(),
    short_names=("sc",),
    columns=(
        Column("Name", name, describes=NAME.describes, format="name"),
        Column("Provisioner", at("provisioner"), describes="provisioner"),
        Column("ReclaimPolicy", at("reclaimPolicy", "Delete"), describes="reclaimPolicy"),
        Column("VolumeBindingMode", at("volumeBindingMode", "<unset>"), describes="volumeBindingMode"),
        Column("AllowVolumeExpansion", at("allowVolumeExpansion", False), describes="allowVolumeExpansion"),
        AGE,
    ),
)
