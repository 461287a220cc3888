"""What claims must satisfy, and what of them may change.

Upstream: ValidatePersistentVolumeClaim, ValidatePersistentVolumeClaimUpdate in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import internal_struct, names
from labkit.glassbox.resources.validation.fields import forbidden, invalid, one_of, required, unsupported
from labkit.glassbox.resources.validation.metadata import label_selector

MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
CAPACITY = "status.capacity.storage"
POSITIVE = "must be greater than zero"
LOCAL = "must be 'PersistentVolumeClaim'"
REFERENCE = ("apiGroup", "kind", "name")
IMMUTABLE = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def claim(spec: dict, path: str = "spec") -> Iterator[Cause]:
    if spec.get("selector"):
        yield from label_selector(spec["selector"], f"{path}.selector")
    yield from access(spec, path, "at least 1 access mode is required")
    wanted = dig(spec, "resources.requests.storage")
    if wanted is None:
        yield required(f"{path}.resources[storage]")
    elif quantity.parse(wanted) <= 0:
        yield invalid(f"{path}.resources[storage]", wanted, POSITIVE)
    yield from _sources(spec, path)


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


def access(spec: dict, path: str, told: str) -> Iterator[Cause]:
    """Check what claims and volumes have alike: access modes, class, volume mode."""
    modes = spec.get("accessModes") or []
    if not modes:
        yield required(f"{path}.accessModes", told)
    yield from (unsupported(f"{path}.accessModes", each, MODES) for each in modes if each not in MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")
    if spec.get("storageClassName"):
        yield from names.check(names.dns_subdomain, f"{path}.storageClassName", spec["storageClassName"])
    yield from one_of(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)


def changed_claim(obj: dict, old: dict) -> Iterator[Cause]:
    """Check a change: the volume is named once, a class once given to one without, a bound claim may grow."""
    new, held = dict(obj.get("spec") or {}), dict(old.get("spec") or {})
    yield from claim(new)
    wanted, had = dig(new, "resources.requests.storage"), dig(held, "resources.requests.storage")
    held["volumeName"] = held.get("volumeName") or new.get("volumeName")
    if held.get("storageClassName") is None:
        held["storageClassName"] = new.get("storageClassName")
    if dig(old, "status.phase") == "Bound":
        held["resources"] = new.get("resources")
    kept = {**held, "volumeAttributesClassName": new.get("volumeAttributesClassName")}
    if told := internal_struct.difference("PersistentVolumeClaimSpec", kept, new):
        yield forbidden("spec", f"{IMMUTABLE}\n{told}")
    smaller = wanted and had and quantity.parse(wanted) < quantity.parse(had)
    if smaller and quantity.parse(wanted) <= quantity.parse(dig(old, CAPACITY, "0")):
        yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    yield from internal_struct.unchanged("volumeMode", new.get("volumeMode"), held.get("volumeMode"))
    yield from _kept_attributes(new.get("volumeAttributesClassName"), held.get("volumeAttributesClassName"))


def _kept_attributes(new: str | None, held: str | None) -> Iterator[Cause]:
    """Let a claim change the class of its volume's attributes, and not give it up."""
    if held is not None and not new:
        gone = "nil" if new is None else "an empty string"
        yield forbidden("spec.volumeAttributesClassName", f"update from non-nil value to {gone} is forbidden")
