"""The formats that a schema may ask of a string, and Go's regular expressions, by RE2 as Go's own package has them.

Upstream: k8s.io/kube-openapi/pkg/validation/strfmt, github.com/google/re2
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from labkit.glassbox.resources.validation import names

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
UUID = "[0-9a-f]{8}-?[0-9a-f]{4}-?%s-?%s-?[0-9a-f]{12}"
DURATION = r"[+-]?(0|(\d+(\.\d*)?|\.\d+)\s*(ns|us|µs|μs|ms|s|m|h|d|w|seconds?|minutes?|hours?|days?|weeks?))+"
BYTE, WORD = "[0-9A-Fa-f]{2}", "[0-9A-Fa-f]{4}"
MAC = "|".join(
    [f"{BYTE}({mark}{BYTE}){{{more}}}" for mark in ":-" for more in (5, 7, 19)]
    + [rf"{WORD}(\.{WORD}){{{more}}}" for more in (2, 3, 9)]
)


def _matching(expression: str) -> Callable[[str], bool]:
    return lambda text: pattern(expression).fullmatch(text) is not None


def _parsed(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return bool(parse(text)) or True
        except (ValueError, binascii.Error):
            return False

    return check


def _moment(text: str) -> object:
    if not RFC3339.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper())


def _uuid(version: str = "[0-9a-f]{4}", variant: str = "[0-9a-f]{4}") -> Callable[[str], bool]:
    return _matching("(?i)" + UUID % (version, variant))


_RGB = r"\s*(25[0-5]|2[0-4]\d|1?\d?\d)\s*"
FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _parsed(_moment),
    "datetime": _parsed(_moment),
    "date": lambda text: len(text) == 10 and _parsed(date.fromisoformat)(text),
    "duration": _matching(DURATION),
    "byte": _parsed(lambda text: base64.b64decode(text, validate=True)),
    "password": lambda text: True,
    "ipv4": _parsed(ipaddress.IPv4Address),
    "ipv6": _parsed(ipaddress.IPv6Address),
    "cidr": lambda text: names.network(text) is not None,
    "mac": _matching(MAC),
    "uri": lambda text: bool(urlsplit(text).scheme) and " " not in text,
    "email": _matching(r'("[^"]+"|[^\s@<>"]+)@[^\s@<>]+'),
    "hostname": _matching(r"(?i)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*"),
    "uuid": _uuid(),
    "uuid3": _uuid("3[0-9a-f]{3}"),
    "uuid4": _uuid("4[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
    "uuid5": _uuid("5[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
    "bsonobjectid": _matching("[0-9a-fA-F]{24}"),
    "ssn": _matching(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matching("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matching(rf"rgb\({_RGB},{_RGB},{_RGB}\)"),
    "k8s-short-name": lambda text: not names.dns_label(text),
    "k8s-long-name": lambda text: not names.dns_subdomain(text),
}
OF_NUMBERS = ("int32", "int64", "float", "double")
NOT_CHECKED_HERE = ("isbn", "isbn10", "isbn13", "creditcard")  # known upstream; a definition with one is refused


# What RE2 says of a pattern → what Go does.
TOLD = (
    ("missing )", "missing closing )"),
    ("missing ]", "missing closing ]"),
    ("no argument for repetition operator", "missing argument to repetition operator"),
    ("bad repetition operator", "invalid nested repetition operator"),
    ("invalid repetition size", "invalid repeat count"),
    ("invalid perl operator", "invalid or unsupported Perl syntax"),
    ("invalid named capture group", "invalid named capture"),
    ("trailing \\", "trailing backslash at end of expression"),
)


class BadPattern(ValueError):
    """A regular expression that is none: what Go says of it."""


@lru_cache(maxsize=1024)
def pattern(text: str) -> Any:
    """Return Go's regular expression, ready to search: its time grows with the text alone. Raises BadPattern."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options=options)
    except re2.error as error:
        told, _, where = error.args[0].decode().partition(": ")
        raise BadPattern(f"error parsing regexp: {dict(TOLD).get(told, told)}: `{where}`") from None
