"""PersistentVolumeClaim: what a pod asks for when it wants storage that outlives it.

Upstream: pkg/registry/core/persistentvolumeclaim/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources import storage_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy


class PersistentVolumeClaimStrategy(Strategy):
    has_status = True
    empty_status = {"phase": "Pending"}


PERSISTENT_VOLUME_CLAIMS = Resource(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    singular="persistentvolumeclaim",
    namespaced=True,
    definition="io.k8s.api.core.v1.PersistentVolumeClaim",
    strategy=PersistentVolumeClaimStrategy(),
    short_names=("pvc",),
    subresources=("status",),
    columns=storage_columns.CLAIM,
    storage_version_hash="QWTyNDq0dC4=",
)
