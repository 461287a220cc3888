"""What Endpoints and EndpointSlices must satisfy.

Upstream: pkg/apis/discovery/validation/validation.go, validateEndpointSubsets in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    IMMUTABLE,
    every,
    invalid,
    items,
    one_of,
    required,
    too_many,
    unique,
)

ADDRESS_TYPES, PROTOCOLS = ("FQDN", "IPv4", "IPv6"), ("SCTP", "TCP", "UDP")
MOST_ENDPOINTS, MOST_PORTS, MOST_ADDRESSES, MOST_HINTS = 1000, 20000, 100, 8


def endpoint_slice(obj: dict) -> Iterator[Cause]:
    kind = obj.get("addressType", "")
    if not kind:
        yield required("addressType")
    else:
        yield from one_of("addressType", kind, ADDRESS_TYPES)
    given, ports = obj.get("endpoints") or [], obj.get("ports") or []
    yield from _few_enough(given, "endpoints", MOST_ENDPOINTS) or every(_endpoint, given, "endpoints", kind)
    yield from _few_enough(ports, "ports", MOST_PORTS) or _ports(ports, "ports")


def _few_enough(given: list, path: str, most: int) -> list[Cause]:
    return [too_many(path, len(given), most)] if len(given) > most else []


def same_address_type(obj: dict, old: dict) -> Iterator[Cause]:
    if obj.get("addressType") != old.get("addressType"):
        yield invalid("addressType", obj.get("addressType", ""), IMMUTABLE)


def _endpoint(given: dict, path: str, kind: str) -> Iterator[Cause]:
    addresses = given.get("addresses") or []
    if not addresses:
        yield required(f"{path}.addresses", "must contain at least 1 address")
    yield from _few_enough(addresses, f"{path}.addresses", MOST_ADDRESSES)
    for at, address in items(addresses, f"{path}.addresses"):
        if kind == "FQDN":
            yield from _domain(address, at)
        elif kind in ("IPv4", "IPv6"):
            yield from _address(address, at, kind)
    if given.get("nodeName") is not None:
        yield from names.check(names.dns_subdomain, f"{path}.nodeName", given["nodeName"])
    if given.get("hostname") is not None:
        yield from names.check(names.dns_label, f"{path}.hostname", given["hostname"])
    for field, rule in (("forZones", names.label_value), ("forNodes", names.dns_subdomain)):
        hints = (given.get("hints") or {}).get(field) or []
        yield from _few_enough(hints, f"{path}.hints.{field}", MOST_HINTS) or _hints(
            hints, f"{path}.hints.{field}", rule
        )


def _hints(given: list[dict], path: str, rule: names.Rule) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, each in items(given, path):
        yield from unique(f"{at}.name", each.get("name", ""), seen)
        yield from names.check(rule, f"{at}.name", each.get("name", ""))


def _domain(text: str, path: str) -> Iterator[Cause]:
    """Check a fully qualified domain name: the first fault alone is told, and a dot at its end is none."""
    name = text.removesuffix(".")
    labels = name.split(".")
    bad = next((each for each in labels if names.dns_label(each)), "")
    if not text:
        yield required(path)
    elif told := names.dns_subdomain(name):
        yield invalid(path, name, ",".join(told))
    elif len(labels) < 2:
        yield invalid(path, name, "should be a domain with at least two segments separated by dots")
    elif bad:
        yield invalid(path, bad, ",".join(names.dns_label(bad)))


def _address(text: str, path: str, kind: str) -> Iterator[Cause]:
    """Refuse what is no address of an endpoint: another family, or one that means this host or no host."""
    if told := names.address(text):
        yield from (invalid(path, text, each) for each in told)
        return
    if f"IPv{ipaddress.ip_address(text).version}" != kind:
        yield invalid(path, text, f"must be an {kind} address")
    yield from not_special(text, path)


def not_special(text: str, path: str) -> Iterator[Cause]:
    """Refuse an address that means this host, or no host."""
    address = ipaddress.ip_address(text)
    told = {
        f"may not be unspecified ({text})": address.is_unspecified,
        "may not be in the loopback range (127.0.0.0/8, ::1/128)": address.is_loopback,
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)": address.is_link_local,
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)": text.startswith(
            ("224.0.0.", "ff02:")
        ),
    }
    yield from (invalid(path, text, sentence) for sentence, holds in told.items() if holds)


def _ports(given: list[dict], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, each in items(given, path):
        name = each.get("name") or ""
        if name:
            yield from names.check(names.dns_label, f"{at}.name", name)
        yield from unique(f"{at}.name", name, seen)
        yield from one_of(f"{at}.protocol", each.get("protocol", "TCP"), PROTOCOLS)
        yield from _protocol_above(each, at)


def subsets(given: list[dict]) -> Iterator[Cause]:
    for path, subset in items(given, "subsets"):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(path, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for at, each in items(subset.get(field), f"{path}.{field}"):
                faults = list(names.check(names.address, f"{at}.ip", each.get("ip", "")))
                yield from faults
                if each.get("hostname"):
                    yield from names.check(names.dns_label, f"{at}.hostname", each["hostname"])
                if each.get("nodeName") is not None:
                    yield from names.check(names.dns_subdomain, f"{at}.nodeName", each["nodeName"])
                if not names.is_address(each.get("ip", "")):  # upstream looks twice
                    yield invalid(f"{at}.ip", each.get("ip", ""), "must be a valid IP address")
                elif not faults:
                    yield from not_special(each["ip"], f"{at}.ip")
        ports = subset.get("ports") or []
        yield from every(_subset_port, ports, f"{path}.ports", len(ports) > 1)


def _subset_port(given: dict, path: str, needs_name: bool) -> Iterator[Cause]:
    if given.get("name"):
        yield from names.check(names.dns_label, f"{path}.name", given["name"])
    elif needs_name:
        yield required(f"{path}.name")
    if not 1 <= given.get("port", 0) <= 65535:
        yield invalid(f"{path}.port", given.get("port", 0), names.PORT_RANGE)
    yield from one_of(f"{path}.protocol", given.get("protocol", ""), PROTOCOLS)
    yield from _protocol_above(given, path)


def _protocol_above(port: dict, path: str) -> Iterator[Cause]:
    if port.get("appProtocol") is not None:
        yield from names.check(names.qualified_name, f"{path}.appProtocol", port["appProtocol"])
