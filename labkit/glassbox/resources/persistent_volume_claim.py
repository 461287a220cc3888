"""PersistentVolumeClaim: what a pod asks for when it wants storage that outlives it.

Upstream: pkg/registry/core/persistentvolumeclaim/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import storage_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import claims, warnings

SOURCES = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))


class PersistentVolumeClaimStrategy(Strategy):
    has_status = True
    metadata_looks = 5
    empty_status = {"phase": "Pending"}

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        _one_source(obj.get("spec") or {}, {})

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        super().prepare_for_update(obj, old)
        _one_source(obj.get("spec") or {}, old.get("spec") or {})

    def faults(self, obj: dict) -> Iterable[Cause]:
        return claims.claim(obj.get("spec") or {})

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return claims.changed_claim(obj, old)

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(claims.status(obj))

    def warnings(self, obj: dict) -> list[str]:
        return warnings.claim(obj)


def _one_source(spec: dict, held: dict) -> None:
    """Have either form of where the data comes from say what the other says.

    What the older form never meant anything to is dropped, and the newer one where it names another namespace, unless
    the claim `held` such a source; the newer form is refused otherwise.
    """
    if (spec.get("dataSourceRef") or {}).get("namespace") and held.get("dataSourceRef") is None:
        del spec["dataSourceRef"]
    older, newer = spec.get("dataSource"), spec.get("dataSourceRef")
    sourced = held.get("dataSource") or held.get("dataSourceRef")
    if older and newer is None and not sourced and (older.get("apiGroup") or "", older.get("kind")) not in SOURCES:
        older = spec.pop("dataSource") and None
    if older and newer is None:
        spec["dataSourceRef"] = dict(older)
    elif newer and older is None and not newer.get("namespace"):
        spec["dataSource"] = dict(newer)


PERSISTENT_VOLUME_CLAIMS = Resource(
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    strategy=PersistentVolumeClaimStrategy(),
    short_names=("pvc",),
    subresources=("status",),
    columns=storage_columns.CLAIM,
)
