"""Which PersistentVolume suits a claim: asked by the binder, and by the scheduler for a claim that waits for its pod.

Upstream: staging/src/k8s.io/component-helpers/storage/volume/pv_helpers.go (FindMatchingVolume)
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox import node_selector, objects, quantity
from labkit.glassbox.selectors import from_label_selector


def storage_class(obj: dict) -> str:
    """Return the class of a claim or a volume, "" for none."""
    annotations = obj["metadata"].get("annotations") or {}
    return annotations.get("volume.beta.kubernetes.io/storage-class") or obj["spec"].get("storageClassName") or ""


def refers_to(volume: dict, claim: dict) -> bool:
    """Tell whether a volume is kept for that very claim; one that names no uid is kept for whoever has the name."""
    reference = volume["spec"].get("claimRef")
    if not reference or f"{reference.get('namespace')}/{reference['name']}" != objects.key(claim):
        return False
    return reference.get("uid") in (None, "", objects.uid(claim))


def reaches(volume: dict, node: dict) -> bool:
    """Tell whether the volume's data can be had on a node."""
    needed = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return needed is None or node_selector.matches(needed, node)


def suits(volume: dict, claim: dict) -> bool:
    """Tell whether a volume is large enough, and of the mode, class, access and labels that a claim asks."""
    has, wants = volume["spec"], claim["spec"]
    return (
        not objects.is_deleting(volume)
        and capacity(volume) >= requested(claim)
        and has.get("volumeMode", "Filesystem") == wants.get("volumeMode", "Filesystem")
        and storage_class(volume) == storage_class(claim)
        and set(wants.get("accessModes") or []) <= set(has.get("accessModes") or [])
        and (not wants.get("selector") or from_label_selector(wants["selector"]).matches(objects.labels(volume)))
    )


def capacity(volume: dict) -> int:
    """Return a volume's size in bytes."""
    return quantity.bytes_of((volume["spec"].get("capacity") or {}).get("storage", "0"))


def requested(claim: dict) -> int:
    """Return the size that a claim asks for, in bytes."""
    return quantity.bytes_of((claim["spec"]["resources"].get("requests") or {}).get("storage", "0"))


def find(claim: dict, volumes: Iterable[dict], node: dict | None = None) -> dict | None:
    """Return the volume to bind to a claim, for a pod on `node` if one is given: one kept for it, else the smallest."""
    within = [each for each in volumes if suits(each, claim) and (node is None or reaches(each, node))]
    kept = [each for each in within if refers_to(each, claim)]
    free = [
        each
        for each in within
        if not each["spec"].get("claimRef") and (each.get("status") or {}).get("phase") == "Available"
    ]
    return min(kept or free, key=lambda each: (capacity(each), objects.name(each)), default=None)
