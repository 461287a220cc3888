"""What storage classes, and what volume drivers tell, must satisfy.

Upstream: pkg/apis/storage/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names, volumes
from labkit.glassbox.resources.validation.claims import access_modes, class_and_mode
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    every,
    forbidden,
    invalid,
    items,
    one_of,
    required,
    too_long,
    unchanged,
    unique,
)
from labkit.glassbox.resources.validation.storage import source_of

MOST_PARAMETERS, LONGEST = 512, 256 * 1024  # bytes of all of them


def storage_class(obj: dict) -> Iterator[Cause]:
    yield from names.needed(names.qualified_name, "provisioner", obj.get("provisioner", "").lower())
    yield from parameters(obj.get("parameters"))
    yield from one_of("reclaimPolicy", obj.get("reclaimPolicy"), ("Delete", "Retain"))
    yield from one_of("volumeBindingMode", obj.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))
    yield from topologies(obj.get("allowedTopologies") or [], "allowedTopologies")


def topologies(given: list[dict], path: str) -> Iterator[Cause]:
    """Check where volumes may lie: no term twice, and none without an expression, which upstream tells so often."""
    before: list[dict] = [{}] * len(given)
    for at, term in items(given, path):
        expressions, found = term.get("matchLabelExpressions") or [], {}
        for place, each in items(expressions, f"{at}.matchLabelExpressions"):
            if not each.get("values"):
                yield required(f"{place}.values")
            seen: set[str] = set()
            yield from every(
                lambda value, path, seen=seen: unique(path, value, seen), each.get("values"), f"{place}.values"
            )
            yield from names.check(names.qualified_name, f"{place}.key", each.get("key", ""))
            if each.get("key", "") in found:
                yield duplicate(f"{place}.key", each.get("key", ""))
            found[each.get("key", "")] = seen
        yield from [duplicate(f"{at}.matchLabelExpressions", "")] * before.count(found)
        before.append(found)


def parameters(given: dict | None, may_be_none: bool = True) -> Iterator[Cause]:
    """Check what a driver is told."""
    given = given or {}
    if len(given) > MOST_PARAMETERS:
        yield too_long("parameters", MOST_PARAMETERS)
        return
    if "" in given:
        yield invalid("parameters", "", "field can not be empty.")
    if size_of(given) > LONGEST:
        yield too_long("parameters", LONGEST)
    if not given and not may_be_none:
        yield required("parameters", "must contain at least one key/value pair")


def size_of(given: dict) -> int:
    """Return how many bytes a map of texts holds."""
    return sum(len(text.encode()) for pair in given.items() for text in pair)


def driver_name(text: str, path: str) -> Iterator[Cause]:
    """Check the name by which objects speak of a driver."""
    if not text:
        yield required(path)
        return
    if len(text) > 63:
        yield too_long(path, 63)
    for told in names.dns_subdomain(text.lower()):
        yield invalid(path, text, told)


def inline_volume(spec: dict, path: str) -> Iterator[Cause]:
    """Check a volume that no PersistentVolume stands for."""
    for field in ("claimRef", "capacity"):
        if spec.get(field):
            yield forbidden(f"{path}.{field}", "may not be specified in the context of inline volumes")
    if spec.get("csi") is None:
        yield required(f"{path}.csi", "has to be specified in the context of inline volumes")
    if not spec.get("accessModes"):
        yield required(f"{path}.accessModes")
    yield from access_modes(spec, path)
    yield from volumes.source(source_of(spec), path, volumes.PERSISTENT)
    yield from class_and_mode(spec, path)


def changed_storage_class(obj: dict, old: dict) -> Iterator[Cause]:
    yield from storage_class(obj)
    for field in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        yield from unchanged(field, obj.get(field), old.get(field))
