"""PersistentVolumeClaim: what a pod asks for when it wants storage that outlives it.

Upstream: pkg/registry/core/persistentvolumeclaim/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import storage_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import claims


class PersistentVolumeClaimStrategy(Strategy):
    has_status = True
    empty_status = {"phase": "Pending"}

    def faults(self, obj: dict) -> Iterable[Cause]:
        return claims.claim(obj.get("spec") or {})

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return claims.changed_claim(obj, old)


PERSISTENT_VOLUME_CLAIMS = Resource(
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    strategy=PersistentVolumeClaimStrategy(),
    short_names=("pvc",),
    subresources=("status",),
    columns=storage_columns.CLAIM,
    storage_version_hash="QWTyNDq0dC4=",
)
