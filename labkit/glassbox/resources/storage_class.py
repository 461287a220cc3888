"""StorageClass: how volumes are made for claims that ask for this class.

Upstream: pkg/registry/storage/storageclass/strategy.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy

IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"


class StorageClassStrategy(Strategy):
    pass


def name(obj: dict, now: float) -> str:
    return objects.name(obj) + (" (default)" if objects.annotations(obj).get(IS_DEFAULT) == "true" else "")


STORAGE_CLASSES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    singular="storageclass",
    namespaced=False,
    definition="io.k8s.api.storage.v1.StorageClass",
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
    storage_version_hash="K+m6uJwbjGY=",
)
