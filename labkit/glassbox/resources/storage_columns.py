"""What `kubectl get` shows of volumes and claims.

Upstream: printPersistentVolume, printPersistentVolumeClaim in pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.glassbox import objects
from labkit.glassbox.resources.columns import AGE, NAME, at, dig
from labkit.glassbox.resources.resource import Column

UNSET = "<unset>"
SHORT = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def phase(obj: dict, now: float) -> str:
    return "Terminating" if objects.is_deleting(obj) else dig(obj, "status.phase", "")


def access_modes(path: str) -> Callable[[dict, float], str]:
    return lambda obj, now: ",".join(short for mode, short in SHORT.items() if mode in (dig(obj, path) or ()))


def claim(volume: dict, now: float) -> str:
    reference = dig(volume, "spec.claimRef")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


def classes(of: str) -> tuple[Column, Column]:
    return (
        Column("StorageClass", at("spec.storageClassName"), description=f"StorageClass of the {of}"),
        Column(
            "VolumeAttributesClass",
            at("spec.volumeAttributesClassName", UNSET),
            description=f"VolumeAttributesClass of the {of}",
        ),
    )


MODE = Column("VolumeMode", at("spec.volumeMode", UNSET), describes="spec.volumeMode", priority=1)
VOLUME = (
    NAME,
    Column("Capacity", at("spec.capacity.storage"), describes="spec.capacity"),
    Column("Access Modes", access_modes("spec.accessModes"), describes="spec.accessModes"),
    Column("Reclaim Policy", at("spec.persistentVolumeReclaimPolicy"), describes="spec.persistentVolumeReclaimPolicy"),
    Column("Status", phase, describes="status.phase"),
    Column("Claim", claim, describes="spec.claimRef"),
    *classes("pv"),
    Column("Reason", at("status.reason"), describes="status.reason"),
    AGE,
    MODE,
)
CLAIM = (
    NAME,
    Column("Status", phase, describes="status.phase"),
    Column("Volume", at("spec.volumeName"), describes="spec.volumeName"),
    Column("Capacity", at("status.capacity.storage"), describes="status.capacity"),
    Column("Access Modes", access_modes("status.accessModes"), describes="status.accessModes"),
    *classes("pvc"),
    AGE,
    MODE,
)
