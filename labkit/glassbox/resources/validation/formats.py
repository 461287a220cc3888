"""The formats that a schema may ask of a string, and Go's regular expressions in Python's.

A pattern is matched by Python's engine: what RE2 has and it has not is refused by its name, and so is what it has and
RE2 has not.

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
from urllib.parse import urlsplit

from labkit.glassbox.resources.validation import names

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
UUID = "[0-9a-f]{8}-?[0-9a-f]{4}-?%s-?%s-?[0-9a-f]{12}"
DURATION = re.compile(
    r"[+-]?(0|(\d+(\.\d*)?|\.\d+)\s*(ns|us|µs|μs|ms|s|m|h|d|w|seconds?|minutes?|hours?|days?|weeks?))+"
)


def _matching(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


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
    "duration": lambda text: DURATION.fullmatch(text) is not None,
    "byte": _parsed(lambda text: base64.b64decode(text, validate=True)),
    "password": lambda text: True,
    "ipv4": _parsed(ipaddress.IPv4Address),
    "ipv6": _parsed(ipaddress.IPv6Address),
    "cidr": lambda text: names.network(text) is not None,
    "mac": _matching(
        r"[0-9A-Fa-f]{2}(([:-])[0-9A-Fa-f]{2}){5}((\2)[0-9A-Fa-f]{2}){0,2}|([0-9A-Fa-f]{4}\.){2,3}[0-9A-Fa-f]{4}"
    ),
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


class BadPattern(ValueError):
    """A regular expression that is none, or none that both engines know: what Go says of it."""


@lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern:
    """Return Go's regular expression as Python's. Raises BadPattern."""
    translated, members_from, at = "", 0, 0  # members_from: where the members of the class begin that we are in
    while at < len(text):
        token = text[at : at + 2] if text[at] == "\\" else text[at]
        _refuse(text, at, token, members_from)
        at += len(token)
        if token == "[" and not members_from:
            members_from = at + (text[at : at + 1] == "^")
        elif token == "]" and members_from and at > members_from + 1:
            members_from = 0
        elif members_from:
            token = r"\[" if token == "[" else token
        else:
            token = {"$": r"\Z", r"\z": r"\Z"}.get(token, token)
        translated += token
    try:
        return re.compile(translated, re.ASCII)
    except re.error as error:
        told = "missing closing )" if "unterminated subpattern" in error.msg else error.msg
        raise BadPattern(f"error parsing regexp: {told}: `{text}`") from None


def _refuse(text: str, at: int, token: str, in_class: int) -> None:
    """Refuse what one of the two engines lacks."""
    if not in_class and re.match(r"\(\?(=|!|<=|<!|P=|P>|#|>)", text[at:]):
        raise BadPattern(f"error parsing regexp: invalid or unsupported Perl syntax: `{text[at : at + 3]}`")
    if re.fullmatch(r"\\[1-9]", token):
        raise BadPattern(f"error parsing regexp: invalid escape sequence: `{token}`")
    if token in (r"\p", r"\P", r"\C", r"\Q") or text[at : at + 2] == "[:":
        raise BadPattern(f"{text[at : at + 2]} is not supported by this server; write the characters out")
