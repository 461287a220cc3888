"""What volumes must satisfy.

Upstream: ValidatePersistentVolume in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import volumes
from labkit.glassbox.resources.validation.claims import POSITIVE, access
from labkit.glassbox.resources.validation.fields import forbidden, invalid, one_of, required, unsupported
from labkit.glassbox.resources.validation.internal_struct import difference, unchanged
from labkit.glassbox.resources.validation.scheduling import node_selector

# Fields of a PersistentVolume's spec that are not its source.
OF_ANY_VOLUME = (
    *("accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy"),
    *("storageClassName", "volumeAttributesClassName", "volumeMode"),
)


def source_of(spec: dict) -> dict:
    """Return what of a PersistentVolume's spec says where the data lies."""
    return {field: value for field, value in spec.items() if field not in OF_ANY_VOLUME and value is not None}


def volume(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from access(spec, "spec", "")
    capacity = spec.get("capacity") or {}
    if not capacity:
        yield required("spec.capacity")
    if set(capacity) != {"storage"}:
        yield unsupported("spec.capacity", capacity or None, ["storage"])
    for name, amount in sorted(capacity.items()):
        if quantity.parse(amount) <= 0:
            yield invalid(f"spec.capacity[{name}]", amount, POSITIVE)
    yield from one_of(
        "spec.persistentVolumeReclaimPolicy",
        spec.get("persistentVolumeReclaimPolicy"),
        ("Delete", "Recycle", "Retain"),
    )
    if spec.get("volumeAttributesClassName") == "":
        yield required("spec.volumeAttributesClassName", "an empty string is disallowed")
    if (affinity := spec.get("nodeAffinity")) is not None:
        if affinity.get("required") is None:
            yield required("spec.nodeAffinity.required", "must specify required node constraints")
        else:
            yield from node_selector(affinity["required"], "spec.nodeAffinity.required")
    yield from volumes.source(source_of(spec), "spec", volumes.PERSISTENT)
    if spec.get("local") and affinity is None:
        yield required("spec.nodeAffinity", "Local volume requires node affinity")
    recycled = spec.get("persistentVolumeReclaimPolicy") == "Recycle"
    if recycled and posixpath.normpath(dig(spec, "hostPath.path", ".")).strip("/") == "":
        yield forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")


def changed_volume(obj: dict, old: dict) -> Iterator[Cause]:
    yield from volume(obj)
    new, held = obj.get("spec") or {}, old.get("spec") or {}
    if changed := difference("PersistentVolumeSource", held, new):
        told = "spec.persistentvolumesource is immutable after creation"
        yield forbidden("spec.persistentvolumesource", f"{told}\n{changed}")
    yield from unchanged("volumeMode", new.get("volumeMode"), held.get("volumeMode"))
    if held.get("nodeAffinity") is not None:
        yield from unchanged("nodeAffinity", new.get("nodeAffinity"), held["nodeAffinity"], "VolumeNodeAffinity")
