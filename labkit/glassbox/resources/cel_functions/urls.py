"""URLs in CEL, read as Go reads them.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/library/urls.go, net/url
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
NOT_IN_HOST = re.compile(r"[\x00-\x20<>\"\\^`{|}%/]")
IN_PATH = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]%]*")


class Url(NamedTuple):
    """A URL's parts, as they are written."""

    text: str
    scheme: str
    host: str
    path: str
    raw_query: str


def converted(text: str) -> Url:
    """Return an absolute URL, or an absolute path. Raises ValueError in upstream's words."""
    try:
        parse(text, is_request=True)
        return parse(text)
    except ValueError as error:
        raise ValueError(f"URL parse error during conversion from string: {error}") from None


def is_one(text: str) -> bool:
    try:
        parse(text, is_request=True)
    except ValueError:
        return False
    return True


def parse(text: str, is_request: bool = False) -> Url:
    """Return a URL; a request's has no fragment and is absolute. Raises ValueError in Go's words."""
    try:
        return _parse(text, text if is_request else text.partition("#")[0], is_request)
    except ValueError as error:
        raise ValueError(f'parse "{text}": {error}') from None


def _parse(text: str, given: str, is_request: bool) -> Url:
    if CONTROL.search(given):
        raise ValueError("net/url: invalid control character in URL")
    if not given and is_request:
        raise ValueError("empty url")
    if given.startswith(":"):
        raise ValueError("missing protocol scheme")
    found = SCHEME.match(given)
    scheme = found[1].lower() if found else ""
    rest, _, query = given[found.end() if found else 0 :].partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Url(text, scheme, "", "", query)  # opaque: mailto:me
        if is_request:
            raise ValueError("invalid URI for request")
    host = ""
    if rest.startswith("//") and (scheme or not is_request):
        authority, slash, path = rest[2:].partition("/")
        host, rest = _host(authority), slash + path
    if bad := ESCAPE.search(rest):
        raise ValueError(f'invalid URL escape "{bad[0]}"')
    return Url(text, scheme, host, rest, query)


def _host(authority: str) -> str:
    user, _, host = authority.rpartition("@")
    if not USER.fullmatch(user):
        raise ValueError("net/url: invalid userinfo")
    closed = host.rfind("]")
    if host.startswith("[") and closed < 0:
        raise ValueError("missing ']' in host")
    after = host[closed + 1 :] if host.startswith("[") else host[host.rfind(":") :] if ":" in host else ""
    if not re.fullmatch(r"(:[0-9]*)?", after):
        raise ValueError(f'invalid port "{after}" after host')
    if bad := NOT_IN_HOST.search(host):
        raise ValueError(f'invalid character "{bad[0]}" in host name')
    return host


def hostname(url: Url) -> str:
    return re.sub(r":[0-9]*$", "", url.host).removeprefix("[").removesuffix("]")


def port(url: Url) -> str:
    found = re.search(r":([0-9]*)$", url.host)
    return found[1] if found else ""


def escaped_path(url: Url) -> str:
    return url.path if IN_PATH.fullmatch(url.path) else quote(unquote(url.path), safe="/!$&'()*+,;=:@[]~")


def query(url: Url) -> dict[str, list[str]]:
    return parse_qs(url.raw_query, keep_blank_values=True)
