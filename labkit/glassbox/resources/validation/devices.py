"""What claims of devices and classes of devices must satisfy.

Left out: what an expression of CEL costs, and all of those that call what only devices have.

Upstream: pkg/apis/resource/validation/validation.go
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import cel
from labkit.glassbox.resources.validation import metadata, names
from labkit.glassbox.resources.validation.drivers import driver_name
from labkit.glassbox.resources.validation.fields import (
    distinct,
    every,
    invalid,
    items,
    limited,
    required,
    too_long,
    unique,
    unsupported,
)
from labkit.glassbox.resources.validation.resource_amounts import is_extended

MOST, MOST_CHOICES, MOST_CONDITIONS = 32, 8, 4
LONGEST = 10 * 1024  # of an expression, or of what is told to a driver
LONGEST_NAME, LONGEST_POOL = 32, 253
EFFECTS = ("NoExecute", "NoSchedule", "None")
ONE_OF_REQUESTS = "exactly one of `exactly` or `firstAvailable` is required"
OF_A_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
OWN_FUNCTIONS = re.compile(r"\bcel\s*\.\s*bind\b|\bincludes\b")
BY_DOMAIN = {
    "type": "object",
    "additionalProperties": {"type": "object", "additionalProperties": cel.ANY},
}
DEVICE = {  # as expressions see one
    "type": "object",
    "properties": {
        **{"driver": {"type": "string"}, "allowMultipleAllocations": {"type": "boolean"}},
        **{"attributes": BY_DOMAIN, "capacity": BY_DOMAIN},
    },
}


def device_class(spec: dict) -> Iterator[Cause]:
    yield from _selectors(spec, "spec")
    yield from limited(configuration, spec.get("config"), "spec.config", MOST)
    if (name := spec.get("extendedResourceName")) is not None and not ("/" in name and is_extended(name)):
        yield invalid("spec.extendedResourceName", name, "must be a valid extended resource name")


def claim(given: dict, path: str) -> Iterator[Cause]:
    """Check what is claimed: `given` is a claim's `devices`."""
    known = request_names(given)
    yield from distinct(_request, given.get("requests"), f"{path}.requests", MOST, name_of)
    yield from limited(_constraint, given.get("constraints"), f"{path}.constraints", MOST, known)
    yield from limited(configuration, given.get("config"), f"{path}.config", MOST, known)


def template(spec: dict) -> Iterator[Cause]:
    yield from metadata.of_template(spec.get("metadata") or {}, "spec.metadata")
    yield from claim(dig(spec, "spec.devices") or {}, "spec.spec.devices")


def name_of(obj: dict) -> str:
    return obj.get("name", "")


def request_names(given: dict) -> set[str]:
    """Return what the rest of a claim may call its requests: NAME, or NAME/CHOICE."""
    requests = given.get("requests") or []
    chosen = {f"{name_of(each)}/{name_of(choice)}" for each in requests for choice in each.get("firstAvailable") or ()}
    return {name_of(each) for each in requests} | chosen


def _request(request: dict, path: str) -> Iterator[Cause]:
    yield from names.check(names.dns_label, f"{path}.name", name_of(request))
    exactly, choices = request.get("exactly"), request.get("firstAvailable")
    if exactly is not None and choices:
        yield invalid(path, None, f"{ONE_OF_REQUESTS}, but multiple fields are set")
    elif exactly is not None:
        yield from _wanted(exactly, f"{path}.exactly")
    elif choices:
        yield from distinct(_choice, choices, f"{path}.firstAvailable", MOST_CHOICES, name_of)
    else:
        yield required(path, ONE_OF_REQUESTS)


def _choice(choice: dict, path: str) -> Iterator[Cause]:
    yield from names.check(names.dns_label, f"{path}.name", name_of(choice))
    yield from _wanted(choice, path)


def _wanted(wanted: dict, path: str) -> Iterator[Cause]:
    yield from names.needed(names.dns_subdomain, f"{path}.deviceClassName", wanted.get("deviceClassName", ""))
    yield from _selectors(wanted, path)
    mode, count = wanted.get("allocationMode"), wanted.get("count", 0)
    if mode == "All" and count:
        yield invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount" and count <= 0:
        yield invalid(f"{path}.count", count, "must be greater than zero")
    elif mode not in ("All", "ExactCount"):
        yield unsupported(f"{path}.allocationMode", mode, ("All", "ExactCount"))
    yield from every(_toleration, wanted.get("tolerations"), f"{path}.tolerations")


def _toleration(given: dict, path: str) -> Iterator[Cause]:
    key, operator, value, effect = (given.get(field, "") for field in ("key", "operator", "value", "effect"))
    if key:
        yield from names.check(names.qualified_name, f"{path}.key", key)
    if operator == "Exists" and value:
        yield invalid(f"{path}.value", value, "must be empty for operator `Exists`")
    elif operator == "Equal":
        yield from names.check(names.label_value, f"{path}.value", value)
    elif not operator:
        yield required(f"{path}.operator")
    elif operator != "Exists":
        yield unsupported(f"{path}.operator", operator, ("Equal", "Exists"))
    if effect and effect not in EFFECTS:
        yield unsupported(f"{path}.effect", effect, EFFECTS)


def _selectors(holder: dict, path: str) -> Iterator[Cause]:
    yield from limited(_selector, holder.get("selectors"), f"{path}.selectors", MOST)


def _selector(given: dict, path: str) -> Iterator[Cause]:
    if given.get("cel") is None:
        yield required(f"{path}.cel")
        return
    text, at = given["cel"].get("expression", ""), f"{path}.cel.expression"
    if len(text.encode()) > LONGEST:
        yield too_long(at, LONGEST)
    elif not OWN_FUNCTIONS.search(text):
        try:
            types = cel.Types()
            found = cel.check(text, {"device": types.of(DEVICE)}, types)
        except cel.BadExpression as error:
            yield invalid(at, text, f"compilation failed: {error}")
            return
        if found not in ("bool", "dyn"):
            yield invalid(at, text, f"must evaluate to bool or the unknown type, not {found}")


def _constraint(constraint: dict, path: str, known: set[str]) -> Iterator[Cause]:
    yield from _requests(constraint, path, known)
    for field in ("matchAttribute", "distinctAttribute"):
        if (name := constraint.get(field)) is not None:
            yield from attribute_name(name, f"{path}.{field}")
            if "/" not in name:
                told = "a fully qualified name must be a domain and a name separated by a slash"
                yield invalid(f"{path}.{field}", name, told)
            return
    told = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
    yield required(path, told)  # so upstream tells it


def _requests(holder: dict, path: str, known: set[str]) -> Iterator[Cause]:
    yield from distinct(reference, holder.get("requests"), f"{path}.requests", MOST, lambda each: each, known)


def reference(name: str, path: str, known: set[str]) -> Iterator[Cause]:
    parts = name.split("/")
    for part in parts if len(parts) <= 2 else ():
        yield from names.check(names.dns_label, path, part)
    if name not in known:
        yield invalid(path, name, OF_A_REQUEST)


def configuration(config: dict, path: str, known: set[str] | None = None) -> Iterator[Cause]:
    if known is not None:
        yield from _requests(config, path, known)
    if config.get("opaque") is None:
        yield required(f"{path}.opaque")
        return
    yield from driver_name(config["opaque"].get("driver", ""), f"{path}.opaque.driver")
    yield from of_the_driver(config["opaque"].get("parameters"), f"{path}.opaque.parameters")


def of_the_driver(given: Any, path: str) -> Iterator[Cause]:
    """Check an object that only a driver can read."""
    if given is None:
        yield required(path)
    elif len(json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()) > LONGEST:
        yield too_long(path, LONGEST)
    elif not isinstance(given, dict):
        yield invalid(path, "<value omitted>", "must be a valid JSON object")


def device_of_a_pool(given: dict, path: str) -> Iterator[Cause]:
    yield from driver_name(given.get("driver", ""), f"{path}.driver")
    yield from pool_name(given.get("pool", ""), f"{path}.pool")
    yield from names.check(names.dns_label, f"{path}.device", given.get("device", ""))


def pool_name(name: str, path: str) -> Iterator[Cause]:
    if not name:
        yield required(path)
        return
    if len(name) > LONGEST_POOL:
        yield too_long(path, LONGEST_POOL)
    for part in name.split("/"):
        yield from names.check(names.dns_subdomain, path, part)


def attribute_name(name: str, path: str) -> Iterator[Cause]:
    """Check NAME, or DOMAIN/NAME; upstream lets pass what has more parts."""
    domain, _, rest = name.rpartition("/")
    if "/" in domain:
        return
    if "/" in name:
        yield from driver_name(domain, path) if domain else [invalid(path, "", "the domain must not be empty")]
        if not rest:
            yield invalid(path, "", "the name must not be empty")
            return
    if len(rest) > LONGEST_NAME:
        yield too_long(path, LONGEST_NAME)
    yield from names.check(names.c_identifier, path, rest)


def binding(given: dict, path: str) -> Iterator[Cause]:
    """Check the conditions for which a pod waits before it is bound, and those on which it is not."""
    fields = ("bindingConditions", "bindingFailureConditions")
    needed, failing = (given.get(field) or [] for field in fields)
    for field, found in zip(fields, (needed, failing), strict=True):
        yield from limited(_condition_type, found, f"{path}.{field}", MOST_CONDITIONS)
    for field, found in zip(fields, (needed, failing), strict=True):
        seen: set[str] = set()
        for at, each in items(found, f"{path}.{field}"):
            yield from unique(at, each, seen)
            if found is failing and each in needed:
                yield invalid(at, each, "bindingFailureConditions must not overlap with bindingConditions")
    if bool(needed) != bool(failing):
        lacking, there = fields if failing else reversed(fields)
        yield invalid(f"{path}.{lacking}", None, f"{lacking} are required to use {there}")


def _condition_type(name: str, path: str) -> Iterator[Cause]:
    yield from names.check(names.qualified_name, path, name)
