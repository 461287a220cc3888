"""Addresses and ranges of addresses in CEL; a range keeps the address that it was written with.

Left out: why an IPv6 address cannot be read.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/library/{ip,cidr}.go, net/netip
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Range = ipaddress.IPv4Interface | ipaddress.IPv6Interface
LINK_LOCAL_MULTICAST = ipaddress.ip_network("224.0.0.0/24")
BROADCAST = ipaddress.ip_address("255.255.255.255")


def ip(given: str | Range) -> Address:
    """Return an address, or that of a range. Raises ValueError in upstream's words."""
    if not isinstance(given, str):
        return given.ip
    try:
        found = ipaddress.ip_address(given)
    except ValueError:
        raise ValueError(f'IP Address "{given}" parse error during conversion from string: {_why(given)}') from None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            raise ValueError(f'IP address "{given}" with zone value is not allowed')
        if found.ipv4_mapped:
            raise ValueError(f'IPv4-mapped IPv6 address "{given}" is not allowed')
    return found


def _why(text: str) -> str:
    """Return netip's words for what is no address."""
    fields = text.split(".")
    told = "unable to parse IP"
    if "." in text and ":" not in text:
        if bad := re.search(r"[^0-9.].*", text):
            told = f'unexpected character (at "{bad[0]}")'
        elif any(not each for each in fields):
            told = f'IPv4 field must have at least one digit (at "{text[text.find("..") + 1 :] or text}")'
        elif any(len(each) > 1 and each[0] == "0" for each in fields):
            told = "IPv4 field has octet with leading zero"
        elif any(int(each) > 255 for each in fields):
            told = "IPv4 field has value >255"
        else:
            told = f"IPv4 address too {'short' if len(fields) < 4 else 'long'}"
    return f'ParseAddr("{text}"): {told}'


def is_ip(given: str) -> bool:
    return _is(ip, given)


def is_canonical(given: str) -> bool:
    return str(ip(given)) == given


def is_link_local_multicast(address: Address) -> bool:
    if address.version == 4:
        return address in LINK_LOCAL_MULTICAST
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 2


def is_global_unicast(address: Address) -> bool:
    excluded = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not excluded and address != BROADCAST


def cidr(given: str) -> Range:
    """Return a range. Raises ValueError in upstream's words."""
    told = "network address parse error during conversion from string"
    address, slash, bits = given.rpartition("/")
    prefix = f'{told}: {told}: netip.ParsePrefix("{given}")'
    if not slash:
        raise ValueError(f"{prefix}: no '/'")
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise ValueError(f"{prefix}: {_why(address)}") from None
    if isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None:
        raise ValueError(f"{prefix}: IPv6 zones cannot be present in a prefix")
    if not re.fullmatch("0|[1-9][0-9]*", bits):
        raise ValueError(f'{prefix}: bad bits after slash: "{bits}"')
    if int(bits) > found.max_prefixlen:
        raise ValueError(f"{prefix}: prefix length out of range")
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        raise ValueError(f'{told}: IPv4-mapped IPv6 address "{given}" is not allowed')
    return ipaddress.ip_interface(given)


def is_cidr(given: str) -> bool:
    return _is(cidr, given)


def contains_ip(held: Range, given: str | Address) -> bool:
    return (ip(given) if isinstance(given, str) else given) in held.network


def contains_cidr(held: Range, given: str | Range) -> bool:
    other = cidr(given) if isinstance(given, str) else given
    return other.version == held.version and other.network.subnet_of(held.network)  # type: ignore[arg-type]


def masked(held: Range) -> Range:
    return ipaddress.ip_interface(held.network)


def _is(parse: Callable[[str], Address | Range], given: str) -> bool:
    try:
        parse(given)
    except ValueError:
        return False
    return True
