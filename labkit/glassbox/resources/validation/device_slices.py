"""What the slices that list devices must satisfy.

Upstream: pkg/apis/resource/validation/validation.go
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import devices, names, scheduling
from labkit.glassbox.resources.validation.devices import EFFECTS, MOST
from labkit.glassbox.resources.validation.drivers import driver_name
from labkit.glassbox.resources.validation.fields import (
    distinct,
    forbidden,
    invalid,
    items,
    limited,
    required,
    too_long,
    too_many,
    unchanged,
    unique,
    unsupported,
)
from labkit.glassbox.resources.validation.internal_struct import struct

MOST_DEVICES, MOST_SPECIAL_DEVICES, MOST_ATTRIBUTES, MOST_TAINTS = 128, 64, 32, 16
MOST_SETS, MOST_CONSUMED, MOST_VALUES = 8, 2, 10
LONGEST_VALUE = 64
NODES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")  # where a slice's devices are, in one way
ONE_OF_NODES = "exactly one of " + ", ".join(f"`{field}`" for field in NODES) + " is required"
ONE_NODE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true"
    " in the ResourceSlice spec"
)
NO_NODE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the"
    " ResourceSlice spec"
)
SEMANTIC = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)
Check = Callable[..., Iterable[Cause]]


def resource_slice(spec: dict, old: dict | None = None) -> Iterator[Cause]:
    """Check a list of devices, and that it stays where it is."""
    yield from driver_name(spec.get("driver", ""), "spec.driver")
    yield from _pool(spec.get("pool") or {}, "spec.pool")
    for field in ("pool.name", "driver", "nodeName") if old else ():
        yield from unchanged(f"spec.{field}", dig(spec, field), dig(old or {}, field))
    yield from _places(spec)
    if "sharedCounters" in spec and "devices" in spec:
        yield invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed")
    listed = spec.get("devices") or []
    is_special = any(each.get("taints") or each.get("consumesCounters") for each in listed)
    most = MOST_SPECIAL_DEVICES if is_special else MOST_DEVICES
    before = {each.get("name"): each for each in (old or {}).get("devices") or ()}
    placed = spec.get("perDeviceNodeSelection")
    yield from distinct(_device, listed, "spec.devices", most, devices.name_of, before, placed)
    yield from distinct(_counter_set, spec.get("sharedCounters"), "spec.sharedCounters", MOST_SETS, devices.name_of)


def _pool(pool: dict, path: str) -> Iterator[Cause]:
    yield from devices.pool_name(devices.name_of(pool), f"{path}.name")
    if pool.get("resourceSliceCount", 0) <= 0:
        yield invalid(f"{path}.resourceSliceCount", pool.get("resourceSliceCount", 0), "must be greater than zero")
    if pool.get("generation", 0) < 0:
        yield invalid(f"{path}.generation", pool["generation"], "must be greater than or equal to zero")


def _places(spec: dict) -> Iterator[Cause]:
    chosen = []
    for field in NODES:
        value, at = spec.get(field), f"spec.{field}"
        if value is None:
            continue
        if field == "nodeName":
            told = "must be either unset or set to a non-empty string"
            yield from names.check(names.dns_subdomain, at, value) if value else [invalid(at, "", told)]
        elif field == "nodeSelector":
            yield from _one_term(value, at)
        elif not value:
            yield invalid(at, False, "must be either unset or set to true")
        if value or field == "nodeSelector":
            chosen.append(f"`{field}`")
    if not chosen:
        yield required("spec", ONE_OF_NODES)
    elif len(chosen) > 1:
        yield invalid("spec", f"{{{', '.join(chosen)}}}", f"{ONE_OF_NODES}, but multiple fields are set")


def _one_term(given: dict, path: str) -> Iterator[Cause]:
    yield from scheduling.node_selector(given, path)
    if len(terms := given.get("nodeSelectorTerms") or []) != 1:
        shown = [struct("NodeSelectorTerm", each) for each in terms] or None
        yield invalid(f"{path}.nodeSelectorTerms", shown, "must have exactly one node selector term")


def _device(device: dict, path: str, before: dict[str, dict], placed: bool | None) -> Iterator[Cause]:
    yield from names.check(names.dns_label, f"{path}.name", devices.name_of(device))
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if (count := len(attributes) + len(capacity)) > MOST_ATTRIBUTES:
        told = f"the total number of attributes and capacities must not exceed {MOST_ATTRIBUTES}"
        yield invalid(path, count, told)
    yield from _map(attributes, f"{path}.attributes", devices.attribute_name, _attribute)
    of_capacity = _shared_capacity if device.get("allowMultipleAllocations") else _capacity
    yield from _map(capacity, f"{path}.capacity", devices.attribute_name, of_capacity)
    if device.get("taints") != before.get(devices.name_of(device), {}).get("taints"):
        yield from limited(_taint, device.get("taints"), f"{path}.taints", MOST_TAINTS)
    consumed = device.get("consumesCounters")
    at = f"{path}.consumesCounters"
    yield from distinct(_consumption, consumed, at, MOST_CONSUMED, lambda each: each.get("counterSet", ""))
    yield from _place(device, path, placed)
    yield from devices.binding(device, path)


def _map(given: dict, path: str, of_key: Check, of_value: Check) -> Iterator[Cause]:
    for key, value in sorted(given.items()):
        yield from of_key(key, path)
        yield from of_value(value, f"{path}[{key}]")


def _attribute(given: dict, path: str) -> Iterator[Cause]:
    version, text = given.get("version"), given.get("string")
    if text is not None and len(text.encode()) > LONGEST_VALUE:
        yield too_long(f"{path}.string", LONGEST_VALUE)
    if version is not None and not SEMANTIC.fullmatch(version):
        yield invalid(f"{path}.version", version, "must be a string compatible with semver.org spec 2.0.0")
    if version is not None and len(version.encode()) > LONGEST_VALUE:
        yield too_long(f"{path}.version", LONGEST_VALUE)
    if len(given) != 1:
        yield invalid(path, struct("DeviceAttribute", given) if given else "", "exactly one value must be specified")


def _capacity(given: dict, path: str) -> Iterator[Cause]:
    if given.get("requestPolicy") is not None:
        yield forbidden(f"{path}.requestPolicy", "allowMultipleAllocations must be true")


def _shared_capacity(given: dict, path: str) -> Iterator[Cause]:
    policy, at = given.get("requestPolicy") or {}, f"{path}.requestPolicy"
    values, span = policy.get("validValues"), policy.get("validRange")
    field = "validValues" if values else "validRange"
    if values and span is not None:
        told = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
        yield forbidden(at, told)
    elif (values or span is not None) and policy.get("default") is None:
        yield required(f"{at}.default", f"required when {field} is defined")
    elif values:
        yield from _values(values, policy["default"], given.get("value", "0"), f"{at}.{field}")
    elif span is not None:
        yield from _span(span, policy["default"], given.get("value", "0"), f"{at}.{field}")


def _values(given: list[str], usual: str, most: str, path: str) -> Iterator[Cause]:
    """Check the amounts of a capacity that may be asked for."""
    amounts = list(map(quantity.parse, given))
    for index in range(1, len(given)):
        if amounts[index - 1] > amounts[index]:
            yield invalid(f"{path}[{index}]", _canonical(given[index]), "values must be sorted in ascending order")
    if len(given) > MOST_VALUES:
        yield too_many(path, len(given), MOST_VALUES)
    else:
        for at, each in items(given, path):
            if quantity.parse(each) > quantity.parse(most):
                yield invalid(at, _canonical(each), f"option is larger than capacity value: {_canonical(most)}")
        seen: set[str] = set()
        for at, each in items(given, path):
            yield from unique(at, str(_whole(each)), seen)
    if quantity.parse(usual) not in amounts or len(given) > MOST_VALUES:
        yield invalid(path, _canonical(usual), "default value is not valid according to the requestPolicy")


def _span(given: dict, usual: str, most: str, path: str) -> Iterator[Cause]:
    """Check from where to where, and by what steps, a capacity may be asked for."""
    low, high, step = (given.get(field) for field in ("min", "max", "step"))
    if low is None:
        yield required(f"{path}.min", "required when validRange is defined")
        return
    yield from _not_more(f"{path}.min", low, most, low, "min is larger than capacity value")
    yield from _not_more(f"{path}.min", low, usual, usual, "default is less than min", low)
    if high is not None:
        yield from _not_more(f"{path}.max", low, high, low, "min is larger than max")
        yield from _not_more(f"{path}.max", high, most, high, "max is larger than capacity value")
        yield from _not_more(f"{path}.max", usual, high, usual, "default is more than max")
    if step is not None and quantity.parse(step) <= 0:
        yield invalid(f"{path}.step", _canonical(step), "must be greater than zero")
    elif step is not None:
        first = quantity.parse(low) + quantity.parse(step)
        if first > quantity.parse(most):
            told = f"one step {quantity.written(first, low)} is larger than capacity value: {_canonical(most)}"
            yield invalid(f"{path}.step", _canonical(step), told)
        for each in (usual, *([high] if high is not None else ())):
            if (_whole(each) - _whole(low)) % _whole(step):
                told = f"value is not a multiple of a given step ({_canonical(step)}) from ({_canonical(low)})"
                yield invalid(f"{path}.step", _canonical(each), told)


def _not_more(path: str, less: str, more: str, shown: str, told: str, than: str = "") -> Iterator[Cause]:
    if quantity.parse(less) > quantity.parse(more):
        yield invalid(path, _canonical(shown), f"{told}: {_canonical(than or more)}")


def _canonical(amount: str) -> str:
    return quantity.canonical(amount)


def _whole(amount: str) -> Decimal:
    return quantity.parse(amount).to_integral_value("ROUND_CEILING")


def _taint(taint: dict, path: str) -> Iterator[Cause]:
    yield from names.check(names.qualified_name, f"{path}.key", taint.get("key", ""))
    yield from names.check(names.label_value, f"{path}.value", taint.get("value", ""))
    if not (effect := taint.get("effect")):
        yield required(f"{path}.effect")
    elif effect not in EFFECTS:
        yield unsupported(f"{path}.effect", effect, EFFECTS)


def _counter_set(given: dict, path: str) -> Iterator[Cause]:
    yield from names.needed(names.dns_label, f"{path}.name", devices.name_of(given))
    yield from _counters(given, path)


def _consumption(given: dict, path: str) -> Iterator[Cause]:
    yield from names.needed(names.dns_label, f"{path}.counterSet", given.get("counterSet", ""))
    yield from _counters(given, path)


def _counters(given: dict, path: str) -> Iterator[Cause]:
    found, at = given.get("counters") or {}, f"{path}.counters"
    if not found:
        yield required(at)
    elif len(found) > MOST:
        yield too_many(at, len(found), MOST)
    else:
        for key in sorted(found):
            yield from names.check(names.dns_label, at, key)


def _place(device: dict, path: str, placed: bool | None) -> Iterator[Cause]:
    """Check where one device is, which only devices tell whose slice says so."""
    given = {field: device[field] for field in NODES[:3] if device.get(field) is not None}
    if not placed:
        yield from [invalid(path, None, NO_NODE)] if given else ()
        return
    for field, value in given.items():
        at = f"{path}.{field}"
        if field == "nodeName":
            yield from names.check(names.dns_subdomain, at, value) if value else [invalid(at, "", "must not be empty")]
        elif field == "nodeSelector":
            yield from scheduling.node_selector(value, at)
        elif not value:
            yield invalid(at, False, "must be either unset or set to true")
    chosen = [f"`{field}`" for field, value in given.items() if value or field == "nodeSelector"]
    if not chosen:
        yield required(path, ONE_NODE)
    elif len(chosen) > 1:
        yield invalid(path, f"{{{', '.join(chosen)}}}", ONE_NODE)
