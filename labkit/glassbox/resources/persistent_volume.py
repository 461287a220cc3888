"""PersistentVolume: storage that outlives pods.

Upstream: pkg/registry/core/persistentvolume/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources import storage_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy


class PersistentVolumeStrategy(Strategy):
    has_status = True
    empty_status = {"phase": "Pending"}


PERSISTENT_VOLUMES = Resource(
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    singular="persistentvolume",
    namespaced=False,
    definition="io.k8s.api.core.v1.PersistentVolume",
    strategy=PersistentVolumeStrategy(),
    short_names=("pv",),
    subresources=("status",),
    columns=storage_columns.VOLUME,
    storage_version_hash="HN/zwEC+JgM=",
)
