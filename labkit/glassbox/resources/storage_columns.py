"""What `kubectl get` shows of volumes and claims.

Upstream: printPersistentVolume, printPersistentVolumeClaim in pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.glassbox import objects
from labkit.glassbox.resources.columns import AGE, NAME, at, dig
from labkit.glassbox.resources.resource import Column

UNSET, OLD_CLASS = "<unset>", "volume.beta.kubernetes.io/storage-class"
SHORT = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def phase(obj: dict, now: float) -> str:
    return "Terminating" if objects.is_deleting(obj) else dig(obj, "status.phase", "")


def access_modes(path: str) -> Callable[[dict, float], str]:
    return lambda obj, now: ",".join(short for mode, short in SHORT.items() if mode in (dig(obj, path) or ()))


def of_volume(cell: Callable[[dict, float], str]) -> Callable[[dict, float], str]:
    """Return what shows a claim's share only once the claim names its volume."""
    return lambda obj, now: cell(obj, now) if dig(obj, "spec.volumeName") else ""


def class_name(obj: dict, now: float) -> str:
    """Return the class, which an annotation named before there was a field for it."""
    return (obj["metadata"].get("annotations") or {}).get(OLD_CLASS) or dig(obj, "spec.storageClassName", "")


def claim(volume: dict, now: float) -> str:
    reference = dig(volume, "spec.claimRef")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


def classes(of: str) -> tuple[Column, Column]:
    return (
        Column("StorageClass", class_name, description=f"StorageClass of the {of}"),
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
    Column("Capacity", of_volume(at("status.capacity.storage", "0")), describes="status.capacity"),
    Column("Access Modes", of_volume(access_modes("status.accessModes")), describes="status.accessModes"),
    *classes("pvc"),
    AGE,
    MODE,
)
