"""What names may look like: each rule returns the sentences for what is wrong with a text, none if it is right.

Upstream: staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation.fields import invalid, required

Rule = Callable[[str], list[str]]

LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_1035_LABEL = "[a-z]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
UNDERSCORED = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
VALUE = f"({QUALIFIED})?"
CONFIG_KEY = "[-._a-zA-Z0-9]+"
PERCENT = "[0-9]+%"
C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
URL_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
ENDS = "and must start and end with an alphanumeric character"
PORT_RANGE = "must be between 1 and 65535, inclusive"


def _sentence(told: str, pattern: str, *examples: str) -> str:
    given = " or ".join(f"'{each}', " for each in examples)
    return f"{told} (e.g. {given}regex used for validation is '{pattern}')"


_LABEL_TOLD = _sentence(
    f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {ENDS}",
    LABEL,
    "my-name",
    "123-abc",
)
_SUBDOMAIN_TOLD = _sentence(
    f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {ENDS}",
    SUBDOMAIN,
    "example.com",
)
_WILDCARD_TOLD = _sentence(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower"
    " case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    rf"\*\.{SUBDOMAIN}",
    "*.example.com",
)
_SEARCH_TOLD = _sentence(
    f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', {ENDS}",
    rf"{UNDERSCORED}(\.{UNDERSCORED})*",
    "example.com",
)
_QUALIFIED_TOLD = _sentence(
    f"must consist of alphanumeric characters, '-', '_' or '.', {ENDS}", QUALIFIED, "MyName", "my.name", "123-abc"
)
_VALUE_TOLD = _sentence(
    f"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', {ENDS}",
    VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_CONFIG_KEY_TOLD = _sentence(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
_PERCENT_TOLD = _sentence(
    "a valid percent string must be a numeric string followed by an ending '%'", PERCENT, "1%", "93%"
)


def _rule(pattern: str, told: str, limit: int) -> Rule:
    compiled = re.compile(pattern)

    @lru_cache(maxsize=1024)
    def rule(text: str) -> list[str]:
        faults = [] if len(text) <= limit else [f"must be no more than {limit} characters"]
        return faults if compiled.fullmatch(text) else [*faults, told]

    return rule


dns_label = _rule(LABEL, _LABEL_TOLD, 63)
dns_1035_label = _rule(
    DNS_1035_LABEL,
    _sentence(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic"
        " character, and end with an alphanumeric character",
        DNS_1035_LABEL,
        "my-name",
        "abc-123",
    ),
    63,
)
dns_subdomain = _rule(SUBDOMAIN, _SUBDOMAIN_TOLD, 253)
wildcard_subdomain = _rule(rf"\*\.{SUBDOMAIN}", _WILDCARD_TOLD, 253)
condition_reason = _rule(
    REASON,
    _sentence(
        "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric"
        " characters or '_,:', and must end with an alphanumeric character or '_'",
        REASON,
        *("my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"),
    ),
    1 << 30,
)
c_identifier = _rule(
    C_IDENTIFIER,
    _sentence(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric"
        " characters or '_'",
        C_IDENTIFIER,
        *("my_name", "MY_NAME", "MyName"),
    ),
    1 << 30,
)
http_header = _rule(
    "[-A-Za-z0-9]+",
    _sentence("a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", "X-Header-Name"),
    1 << 30,
)
search_domain = _rule(rf"{UNDERSCORED}(\.{UNDERSCORED})*", _SEARCH_TOLD, 253)
percent = _rule(PERCENT, _PERCENT_TOLD, 1 << 30)


@lru_cache(maxsize=4096)
def qualified_name(text: str) -> list[str]:
    """Check a label key: "name" or "example.com/name"."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return [
            f"a valid label key {_QUALIFIED_TOLD} with an optional DNS subdomain prefix and '/'"
            " (e.g. 'example.com/MyName')"
        ]
    faults = []
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif slash:
        faults += [f"prefix part {told}" for told in dns_subdomain(prefix)]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > 63:
        faults.append("name part must be no more than 63 bytes")
    if not re.fullmatch(QUALIFIED, name):
        faults.append(f"name part {_QUALIFIED_TOLD}")
    return faults


@lru_cache(maxsize=4096)
def label_value(text: str) -> list[str]:
    faults = [] if len(text) <= 63 else ["must be no more than 63 bytes"]
    return faults if re.fullmatch(VALUE, text) else [*faults, _VALUE_TOLD]


def config_key(text: str) -> list[str]:
    """Check a key of a ConfigMap or Secret, which may become a file name."""
    faults = [] if len(text) <= 253 else ["must be no more than 253 characters"]
    if not re.fullmatch(CONFIG_KEY, text):
        faults.append(_CONFIG_KEY_TOLD)
    if text in (".", ".."):
        faults.append(f"must not be '{text}'")
    elif text.startswith(".."):
        faults.append("must not start with '..'")
    return faults


def path_segment(text: str) -> list[str]:
    """Check a name that may be anything that can stand in a URL's path."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{letter}'" for letter in "/%" if letter in text]


def environment_name(text: str) -> list[str]:
    if text and all(" " <= letter <= "~" and letter != "=" for letter in text):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def port_name(text: str) -> list[str]:
    faults = [] if len(text) <= 15 else ["must be no more than 15 characters"]
    if not re.fullmatch("[-a-z0-9]+", text):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        faults.append("must contain at least one letter (a-z)")
    if "--" in text:
        faults.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        faults.append("must not begin or end with a hyphen")
    return faults


def port(value: int | str) -> list[str]:
    """Check a port given by number or by name."""
    if isinstance(value, str):
        return port_name(value)
    return [] if 1 <= value <= 65535 else [PORT_RANGE]


def address(text: str) -> list[str]:
    """Check an address: one way to write it is as good as another, as long as all read the same in it."""
    if not is_address(text):
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    if _without_zeros(text) != text:
        return ["must not have leading 0s"]
    return ["must not be an IPv4-mapped IPv6 address"] if _is_mapped(ipaddress.ip_address(text)) else []


def is_address(text: str) -> bool:
    """Tell whether a text is an address, however it is written."""
    try:
        ipaddress.ip_address(_without_zeros(text))
    except ValueError:
        return False
    return "%" not in text


def canonical_address(text: str) -> list[str]:
    return address(text) or _canonical(text, str(ipaddress.ip_address(text)))


def cidr(text: str) -> list[str]:
    """Check a range of addresses."""
    found = network(_without_zeros(text))
    if found is None:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    if _without_zeros(text) != text:
        return ["must not have leading 0s in IP or prefix length"]
    if _is_mapped(found.network_address):
        return ["must not have an IPv4-mapped IPv6 address"]
    is_exact = found.network_address == ipaddress.ip_address(text.partition("/")[0])
    return [] if is_exact else ["must not have bits set beyond the prefix length"]


def canonical_cidr(text: str) -> list[str]:
    return cidr(text) or _canonical(text, str(network(text)))


def interface_address(text: str) -> list[str]:
    """Check an address together with the range that it lies in."""
    if network(_without_zeros(text)) is None:
        return ["must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"]
    return _canonical(text, str(ipaddress.ip_interface(_without_zeros(text))))


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return a range of addresses, None for what is none: an address alone, or with a mask."""
    if not text.rpartition("/")[2].isdecimal() or "/" not in text or "%" in text:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _canonical(text: str, right: str) -> list[str]:
    return [] if text == right else [f'must be in canonical form ("{right}")']


def _without_zeros(text: str) -> str:
    """Return an address whose decimal numbers have no zeros before them, which some read as octal."""
    return re.sub(r"(^|[./])0+(?=[0-9])(?![0-9a-f]*:)", r"\1", text)


def _is_mapped(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return found.version == 6 and found.ipv4_mapped is not None


def as_prefix(rule: Rule) -> Rule:
    """Return the rule for what a name may begin with: a dash at its end is followed by something."""
    return lambda text: rule(text[:-2] + "a" if text.endswith("-") and len(text) > 1 else text)


def needed(rule: Rule, path: str, text: str | None, told: str = "") -> Iterator[Cause]:
    """Refuse a name that is missing, or breaks its rule."""
    if text:
        yield from check(rule, path, text)
    else:
        yield required(path, told)


def domain_prefixed_path(path: str, text: str) -> Iterator[Cause]:
    """Check a controller's name: "example.com/what"."""
    domain, _, rest = text.partition("/")
    if not text:
        yield required(path)
    elif not domain or not rest:
        yield invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        yield from check(dns_subdomain, path, domain)
        if not re.fullmatch(URL_PATH, rest):
            yield invalid(path, rest, f"Invalid path (regex used for validation is '{URL_PATH}')")


def check_port(number: int | str, path: str) -> Iterator[Cause]:
    for told in port(number):
        yield invalid(path, number, told)


def check(rule: Rule, path: str, text: str) -> Iterator[Cause]:
    """Yield a cause for each sentence of a rule."""
    for told in rule(text):
        yield invalid(path, text, told)
