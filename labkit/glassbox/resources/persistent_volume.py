"""PersistentVolume: storage that outlives pods.

Upstream: pkg/registry/core/persistentvolume/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import storage_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import storage, warnings

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"  # until the data is erased


class PersistentVolumeStrategy(Strategy):
    """Its status tells since when it is in its phase; later times are set by who changes the phase."""

    has_status = True

    def prepare_for_create(self, obj: dict) -> None:
        obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": obj["metadata"]["creationTimestamp"]}

    def faults(self, obj: dict) -> Iterable[Cause]:
        return storage.volume(obj)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return storage.changed_volume(obj, old)

    def warnings(self, obj: dict) -> list[str]:
        return warnings.volume(obj)


PERSISTENT_VOLUMES = Resource(
    kind="PersistentVolume",
    plural="persistentvolumes",
    namespaced=False,
    strategy=PersistentVolumeStrategy(),
    short_names=("pv",),
    subresources=("status",),
    columns=storage_columns.VOLUME,
)
