"""What volumes and storage classes must satisfy.

Upstream: ValidatePersistentVolume in pkg/apis/core/validation/validation.go,
pkg/apis/storage/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names, volumes
from labkit.glassbox.resources.validation.claims import POSITIVE, access
from labkit.glassbox.resources.validation.fields import forbidden, invalid, one_of, required, unsupported
from labkit.glassbox.resources.validation.internal_struct import difference, unchanged

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
    elif set(capacity) != {"storage"}:
        yield unsupported("spec.capacity", capacity, ["storage"])
    elif quantity.parse(capacity["storage"]) <= 0:
        yield invalid("spec.capacity[storage]", capacity["storage"], POSITIVE)
    yield from one_of(
        "spec.persistentVolumeReclaimPolicy",
        spec.get("persistentVolumeReclaimPolicy"),
        ("Delete", "Recycle", "Retain"),
    )
    yield from volumes.source(source_of(spec), "spec")
    if spec.get("local") and not spec.get("nodeAffinity"):
        yield required("spec.nodeAffinity", "Local volume requires node affinity")
    if spec.get("nodeAffinity") and not spec["nodeAffinity"].get("required"):
        yield required("spec.nodeAffinity.required", "must specify required node constraints")


def changed_volume(obj: dict, old: dict) -> Iterator[Cause]:
    yield from volume(obj)
    new, held = obj.get("spec") or {}, old.get("spec") or {}
    if changed := difference("PersistentVolumeSource", held, new):
        told = "spec.persistentvolumesource is immutable after creation"
        yield forbidden("spec.persistentvolumesource", f"{told}\n{changed}")
    yield from unchanged("volumeMode", new.get("volumeMode"), held.get("volumeMode"))
    if held.get("nodeAffinity") is not None:
        yield from unchanged("nodeAffinity", new.get("nodeAffinity"), held["nodeAffinity"], "VolumeNodeAffinity")


def storage_class(obj: dict) -> Iterator[Cause]:
    if not obj.get("provisioner"):
        yield required("provisioner")
    else:
        yield from names.check(names.qualified_name, "provisioner", obj["provisioner"].lower())
    yield from one_of("reclaimPolicy", obj.get("reclaimPolicy"), ("Delete", "Retain"))
    yield from one_of("volumeBindingMode", obj.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))


def changed_storage_class(obj: dict, old: dict) -> Iterator[Cause]:
    yield from storage_class(obj)
    if (obj.get("parameters") or {}) != (old.get("parameters") or {}):
        yield forbidden("parameters", "updates to parameters are forbidden.")
    for field in ("provisioner", "reclaimPolicy", "volumeBindingMode"):
        yield from unchanged(field, obj.get(field), old.get(field))
