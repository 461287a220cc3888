"""What volumes must satisfy.

Upstream: ValidatePersistentVolume in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names, volumes
from labkit.glassbox.resources.validation.claims import POSITIVE, access_modes, class_and_mode, valid_amount
from labkit.glassbox.resources.validation.fields import forbidden, invalid, one_of, required, unsupported
from labkit.glassbox.resources.validation.internal_struct import difference, unchanged
from labkit.glassbox.resources.validation.scheduling import node_selector
from labkit.glassbox.resources.validation.warnings import OLD_LABELS

EMPTY = "an empty string is disallowed"
MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
# sources for which the annotation may tell with which options they are mounted
MOUNTED = (
    *("gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "nfs", "rbd", "quobyte", "iscsi", "cinder", "cephfs"),
    *("azureFile", "vsphereVolume", "azureDisk", "portworxVolume"),
)
EXPANDS = "controllerExpandSecretRef"
PINNED = "field is immutable, except for updating from beta label to GA"
# Fields of a PersistentVolume's spec that are not its source.
OF_ANY_VOLUME = (
    *("accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy"),
    *("storageClassName", "volumeAttributesClassName", "volumeMode"),
)


def source_of(spec: dict) -> dict:
    """Return what of a PersistentVolume's spec says where the data lies."""
    return {field: value for field, value in spec.items() if field not in OF_ANY_VOLUME and value is not None}


def volume(obj: dict) -> Iterator[Cause]:
    yield from _volume(obj)
    spec = obj.get("spec") or {}
    if MOUNT_OPTIONS in (obj["metadata"].get("annotations") or {}) and not any(field in spec for field in MOUNTED):
        told = "may not specify mount options for this volume type"
        yield forbidden(f"metadata.annotations.{MOUNT_OPTIONS}", told)


def _volume(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("accessModes"):
        yield required("spec.accessModes")
    yield from access_modes(spec, "spec")
    capacity = spec.get("capacity") or {}
    if not capacity:
        yield required("spec.capacity")
    if set(capacity) != {"storage"}:
        yield unsupported("spec.capacity", capacity or None, ["storage"])
    for name, amount in sorted(capacity.items()):
        yield from valid_amount(amount, f"spec.capacity[{name}]")
        if quantity.parse(amount) <= 0:
            yield invalid(f"spec.capacity[{name}]", amount, POSITIVE)
    if policy := spec.get("persistentVolumeReclaimPolicy"):
        yield from one_of("spec.persistentVolumeReclaimPolicy", policy, ("Delete", "Recycle", "Retain"))
    if (affinity := spec.get("nodeAffinity")) is not None:
        if affinity.get("required") is None:
            yield required("spec.nodeAffinity.required", "must specify required node constraints")
        else:
            yield from node_selector(affinity["required"], "spec.nodeAffinity.required")
    yield from volumes.source(source_of(spec), "spec", volumes.PERSISTENT)
    if spec.get("local") and affinity is None:
        yield required("spec.nodeAffinity", "Local volume requires node affinity")
    if policy == "Recycle" and posixpath.normpath(dig(spec, "hostPath.path", ".")).strip("/") == "":
        yield forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
    yield from class_and_mode(spec, "spec")
    yield from _attributes(spec)


def _attributes(spec: dict) -> Iterator[Cause]:
    """Check the class of a volume's attributes, which drivers of the CSI alone have."""
    if (named := spec.get("volumeAttributesClassName")) is None:
        return
    path = "spec.volumeAttributesClassName"
    yield from names.check(names.dns_subdomain, path, named) if named else [required(path, EMPTY)]
    if spec.get("csi") is None:
        yield required("spec.csi", "has to be specified when using volumeAttributesClassName")


def changed_volume(obj: dict, old: dict) -> Iterator[Cause]:
    yield from volume(obj)
    yield from _volume(obj)  # upstream looks twice
    new, held = dict(obj.get("spec") or {}), old.get("spec") or {}
    if new.get("csi") and held.get("csi") and held["csi"].get(EXPANDS) is None:  # may be named once
        new["csi"] = {field: value for field, value in new["csi"].items() if field != EXPANDS}
    if changed := difference("PersistentVolumeSource", held, new):
        told = "spec.persistentvolumesource is immutable after creation"
        yield forbidden("spec.persistentvolumesource", f"{told}\n{changed}")
    yield from unchanged("volumeMode", new.get("volumeMode"), held.get("volumeMode"))
    if (before := held.get("nodeAffinity")) is not None:
        now = new.get("nodeAffinity")
        yield from unchanged("nodeAffinity", now, _renamed(before, now or {}), "VolumeNodeAffinity", PINNED)
    if held.get("volumeAttributesClassName") is not None and new.get("volumeAttributesClassName") is None:
        yield forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden")


def _renamed(old: dict, new: dict) -> dict:
    """Return a volume's nodes by the newer names of their labels, where `new` has those."""
    old = copy.deepcopy(old)
    for terms in zip(*(dig(each, "required.nodeSelectorTerms") or () for each in (old, new)), strict=False):
        for before, now in zip(*(each.get("matchExpressions") or () for each in terms), strict=False):
            if OLD_LABELS.get(before.get("key"), ("", ""))[1] == now.get("key"):
                before["key"] = now["key"]
    return old
