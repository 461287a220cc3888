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
    if told := internal_struct.difference("PersistentVolumeClaimSpec", held, new):
        yield forbidden("spec", f"{IMMUTABLE}\n{told}")
    elif wanted and had and quantity.parse(wanted) < min(map(quantity.parse, (had, dig(old, CAPACITY, had)))):
        yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
