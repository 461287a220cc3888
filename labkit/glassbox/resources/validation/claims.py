"""What claims must satisfy, and what of them may change.

Upstream: ValidatePersistentVolumeClaim, ValidatePersistentVolumeClaimUpdate in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import internal_struct, names
from labkit.glassbox.resources.validation.fields import forbidden, invalid, one_of, required, unsupported
from labkit.glassbox.resources.validation.metadata import label_selector
from labkit.glassbox.resources.validation.resource_amounts import is_native

MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
CAPACITY = "status.capacity.storage"
POSITIVE = "must be greater than zero"
LOCAL = "must be 'PersistentVolumeClaim'"
REFERENCE = ("apiGroup", "kind", "name")
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
RESIZES = (
    *("ControllerResizeInProgress", "ControllerResizeInfeasible"),
    *("NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"),
)
IMMUTABLE = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def claim(spec: dict, path: str = "spec") -> Iterator[Cause]:
    if not spec.get("accessModes"):
        yield required(f"{path}.accessModes", "at least 1 access mode is required")
    if spec.get("selector"):
        yield from label_selector(spec["selector"], f"{path}.selector")
    yield from access_modes(spec, path)
    wanted = dig(spec, "resources.requests.storage")
    if wanted is None:
        yield required(f"{path}.resources[storage]")
    elif quantity.parse(wanted) <= 0:
        yield invalid(f"{path}.resources[storage]", wanted, POSITIVE)
    yield from class_and_mode(spec, path)
    yield from _sources(spec, path)
    if spec.get("volumeAttributesClassName"):
        yield from names.check(
            names.dns_subdomain, f"{path}.volumeAttributesClassName", spec["volumeAttributesClassName"]
        )


def _sources(spec: dict, path: str) -> Iterator[Cause]:
    """Check from what the volume is to be filled."""
    one, other = spec.get("dataSource"), spec.get("dataSourceRef")
    for field, given in (("dataSource", one), ("dataSourceRef", other)):
        at = f"{path}.{field}"
        if given is None:
            continue
        yield from (required(f"{at}.{part}") for part in ("name", "kind") if not given.get(part))
        group = given.get("apiGroup") or ""
        if not group and given.get("kind") != "PersistentVolumeClaim":
            yield invalid(at, given.get("kind", ""), f"{LOCAL} when referencing the default apiGroup")
        elif group:
            yield from names.check(names.dns_subdomain, f"{at}.apiGroup", group)
    if one is not None and other is not None and any(one.get(part) != other.get(part) for part in REFERENCE):
        yield invalid(path, {}, "must match dataSourceRef")


def access_modes(spec: dict, path: str) -> Iterator[Cause]:
    modes = spec.get("accessModes") or []
    yield from (unsupported(f"{path}.accessModes", each, MODES) for each in modes if each not in MODES)
    if "ReadWriteOncePod" in modes and {*modes} & {*MODES} - {"ReadWriteOncePod"}:
        yield forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")


def class_and_mode(spec: dict, path: str) -> Iterator[Cause]:
    if spec.get("storageClassName"):
        yield from names.check(names.dns_subdomain, f"{path}.storageClassName", spec["storageClassName"])
    yield from one_of(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)


def changed_claim(obj: dict, old: dict) -> Iterator[Cause]:
    """Check a change: the volume is named once, a class once given to one without, a bound claim may grow."""
    new, held = dict(obj.get("spec") or {}), dict(old.get("spec") or {})
    yield from [*claim(new)] * 2  # upstream looks twice
    yield from _class_annotation(obj, old)
    wanted, had = dig(new, "resources.requests.storage"), dig(held, "resources.requests.storage")
    changed = {**new, "storageClassName": _class_kept(new, old)}
    held["volumeName"] = held.get("volumeName") or new.get("volumeName")
    if dig(old, "status.phase") == "Bound":
        changed["volumeAttributesClassName"] = held.get("volumeAttributesClassName")
        if wanted is not None:
            changed["resources"] = {**new["resources"], "requests": {**new["resources"]["requests"], "storage": had}}
    if told := internal_struct.difference("PersistentVolumeClaimSpec", held, changed):
        yield forbidden("spec", f"{IMMUTABLE}\n{told}")
    smaller = wanted and had and quantity.parse(wanted) < quantity.parse(had)
    if smaller and quantity.parse(wanted) <= quantity.parse(dig(old, CAPACITY, "0")):
        yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    yield from internal_struct.unchanged("volumeMode", new.get("volumeMode"), held.get("volumeMode"))
    yield from _kept_attributes(new.get("volumeAttributesClassName"), old)


def _class_annotation(obj: dict, old: dict) -> Iterator[Cause]:
    """Keep the annotation that named the class before the field did, unless the field takes its place."""
    now, before = (((each.get("metadata") or {}).get("annotations") or {}).get(CLASS_ANNOTATION) for each in (obj, old))
    moved = before is not None and dig(obj, "spec.storageClassName") == before and now in (None, before)
    if not (moved and dig(old, "spec.storageClassName") is None):
        yield from internal_struct.unchanged(f"metadata.annotations.{CLASS_ANNOTATION}", now or "", before or "")


def _class_kept(new: dict, old: dict) -> str | None:
    """Return the class that a change counts as asking for: one without a class may be given one."""
    before = (old["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    if dig(old, "spec.storageClassName") is None and before in (None, new.get("storageClassName")):
        return None
    return new.get("storageClassName")


def _kept_attributes(new: str | None, old: dict) -> Iterator[Cause]:
    """Let a claim change the class of its volume's attributes, and not give up one that its volume has."""
    if dig(old, "status.currentVolumeAttributesClassName") is None or new:
        return
    if new != dig(old, "spec.volumeAttributesClassName"):
        told = "nil" if new is None else "empty string"
        told = f"update to {told} is forbidden when status.currentVolumeAttributesClassName is not nil"
        yield forbidden("spec.volumeAttributesClassName", told)


def status(obj: dict) -> Iterator[Cause]:
    """Check what is told of a claim: its size, and how far a change of its size has come."""
    given = obj.get("status") or {}
    for name, amount in sorted((given.get("capacity") or {}).items()):
        yield from valid_amount(amount, f"status.capacity[{name}]")
    path = "status.allocatedResourceStatuses"
    for name, state in sorted((given.get("allocatedResourceStatuses") or {}).items()):
        yield from _resized(name, path)
        if state not in RESIZES:
            yield unsupported(path, name, RESIZES)
    path = "status.allocatedResources"
    for name, amount in sorted((given.get("allocatedResources") or {}).items()):
        yield from list(_resized(name, path)) or valid_amount(amount, f"{path}[{name}]")


def _resized(name: str, path: str) -> Iterator[Cause]:
    """Check what of a volume can have a size: its storage, and what others name."""
    faults = list(names.check(names.qualified_name, path, name))
    yield from faults
    if not faults and is_native(name) and name != "storage":
        yield unsupported(path, name, ("storage",))


def valid_amount(amount: str, path: str) -> Iterator[Cause]:
    if (value := quantity.parse(amount)) < 0:
        yield invalid(path, math.ceil(value), "must be a valid resource quantity")
