"""What is told about a claim of devices: who was given which, who uses them, what their drivers say of them.

Upstream: pkg/apis/resource/validation/validation.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import devices, metadata, names, scheduling
from labkit.glassbox.resources.validation.devices import MOST
from labkit.glassbox.resources.validation.fields import (
    distinct,
    every,
    forbidden,
    invalid,
    items,
    limited,
    required,
    too_long,
    too_many,
    unsupported,
)
from labkit.glassbox.resources.validation.internal_struct import unchanged

MOST_CONFIGURATIONS, MOST_RESERVED, MOST_REPORTED, MOST_ADDRESSES = 64, 256, 8, 16
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
UUID_TOLD = (
    "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal"
    " characters"
)


class DeviceId(NamedTuple):
    """A device that was given: `share` tells apart those who share it."""

    driver: str
    pool: str
    device: str
    share: str

    @classmethod
    def of(cls, given: dict) -> DeviceId:
        return cls(*(given.get(field) or "" for field in ("driver", "pool", "device", "shareID")))

    def __str__(self) -> str:
        return "/".join(self[: 4 if self.share else 3])


def claim_status(obj: dict, old: dict) -> Iterator[Cause]:
    """Check who was given what."""
    status, held = obj.get("status") or {}, old.get("status") or {}
    reserved, allocation = status.get("reservedFor") or [], status.get("allocation")
    yield from distinct(_consumer, reserved, "status.reservedFor", MOST_RESERVED, lambda each: each.get("uid", ""))
    given = {DeviceId.of(each) for each in dig(allocation or {}, "devices.results") or ()}
    yield from every(_device_status, status.get("devices"), "status.devices", given)
    seen = set()
    for at, each in items(status.get("devices"), "status.devices"):
        if (device := DeviceId.of(each)) in seen:
            yield Cause("FieldValueDuplicate", f"Duplicate value: {device}", at)
        seen.add(device)
    if reserved and allocation is None:
        yield forbidden("status.reservedFor", "may not be specified when `allocated` is not set")
    elif obj["metadata"].get("deletionTimestamp") and any(
        each not in (held.get("reservedFor") or ()) for each in reserved
    ):
        told = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        yield forbidden("status.reservedFor", told)
    if allocation is not None and held.get("allocation") is not None:
        yield from unchanged("status.allocation", allocation, held["allocation"], "AllocationResult")
    elif allocation is not None:
        yield from _allocation(allocation, "status.allocation", devices.request_names(dig(obj, "spec.devices") or {}))


def _consumer(given: dict, path: str) -> Iterator[Cause]:
    yield from (required(f"{path}.{field}") for field in ("resource", "name", "uid") if not given.get(field))


def _allocation(given: dict, path: str, known: set[str]) -> Iterator[Cause]:
    devices = given.get("devices") or {}
    yield from limited(_result, devices.get("results"), f"{path}.devices.results", MOST, known)
    yield from limited(_source, devices.get("config"), f"{path}.devices.config", MOST_CONFIGURATIONS, known)
    if given.get("nodeSelector") is not None:
        yield from scheduling.node_selector(given["nodeSelector"], f"{path}.nodeSelector")


def _result(given: dict, path: str, known: set[str]) -> Iterator[Cause]:
    yield from devices.reference(given.get("request", ""), f"{path}.request", known)
    yield from devices.device_of_a_pool(given, path)
    yield from devices.binding(given, path)
    yield from _share(given, path)


def _share(given: dict, path: str) -> Iterator[Cause]:
    if (share := given.get("shareID")) is not None and not UUID.fullmatch(share):
        yield invalid(f"{path}.shareID", share, UUID_TOLD)


def _source(given: dict, path: str, known: set[str]) -> Iterator[Cause]:
    source, supported = given.get("source"), ("FromClaim", "FromClass")
    if not source:
        yield required(f"{path}.source")
    elif source not in supported:
        yield unsupported(f"{path}.source", source, supported)
    yield from devices.configuration(given, path, known)


def _device_status(given: dict, path: str, allocated: set[DeviceId]) -> Iterator[Cause]:
    yield from devices.device_of_a_pool(given, path)
    yield from _share(given, path)
    if (device := DeviceId.of(given)) not in allocated:
        told = f"Invalid value: {device}: must be an allocated device in the claim"
        yield Cause("FieldValueInvalid", told, path)
    found = given.get("conditions") or []
    if len(found) > MOST_REPORTED:
        yield too_many(f"{path}.conditions", len(found), MOST_REPORTED)
    yield from metadata.conditions(found, f"{path}.conditions")
    if given.get("data") is not None:
        yield from devices.of_the_driver(given["data"], f"{path}.data")
    network, at = given.get("networkData") or {}, f"{path}.networkData"
    for field, most in (("interfaceName", 256), ("hardwareAddress", 128)):
        if len(network.get(field, "").encode()) > most:
            yield too_long(f"{at}.{field}", most)
    yield from distinct(_address, network.get("ips"), f"{at}.ips", MOST_ADDRESSES, lambda each: each)


def _address(text: str, path: str) -> Iterator[Cause]:
    yield from names.check(names.interface_address, path, text)
