"""Texts in CEL: what matches a regular expression, and whether a text is of a named format.

What a format finds is an optional list, empty for nothing: it has a value if something is wrong.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/library/{regex,format}.go
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from labkit.glassbox.resources.cel_functions import urls
from labkit.glassbox.resources.validation import formats, names


class Format(str):
    """A format, by its name."""


class Known(str):
    """A format that may be none: then it has no value."""

    def __bool__(self) -> bool:
        return self in FORMATS


class Faults(list):
    """What is wrong with a text."""


def fail(told: str) -> None:
    raise ValueError(told)


def find(text: str, pattern: str) -> str:
    found = find_all(text, pattern, 1)
    return found[0] if found else ""


def find_all(text: str, pattern: str, most: int = -1) -> list[str]:
    """Return what matches, as Go finds it: no empty match at the end of another. Raises ValueError."""
    try:
        compiled = formats.pattern(pattern)
    except formats.BadPattern as error:
        raise ValueError(f"Illegal regex: {error}") from None
    found, end = [], -1
    for match in compiled.finditer(text):
        if match[0] or match.start() != end:
            found.append(match[0])
        end = match.end()
    return found if most < 0 else found[:most]


def _url(text: str) -> list[str]:
    try:
        urls.parse(text, is_request=True)
    except ValueError as error:
        return [str(error)]
    return []


def _of(form: str, told: str) -> names.Rule:
    return lambda text: [] if formats.FORMATS[form](text) else [told]


def _prefix(rule: names.Rule) -> names.Rule:
    """Return the rule for what a name begins with: a dash may be the last character."""
    return lambda text: rule(text[:-1] + "a" if len(text) > 1 and text.endswith("-") else text)


FORMATS: dict[str, names.Rule] = {
    "dns1123Label": names.dns_label,
    "dns1123Subdomain": names.dns_subdomain,
    "dns1035Label": names.dns_1035_label,
    "dns1123LabelPrefix": _prefix(names.dns_label),
    "dns1123SubdomainPrefix": _prefix(names.dns_subdomain),
    "dns1035LabelPrefix": _prefix(names.dns_1035_label),
    "qualifiedName": names.qualified_name,
    "labelValue": names.label_value,
    "uri": _url,
    "uuid": _of("uuid", "does not match the UUID format"),
    "byte": _of("byte", "invalid base64"),
    "date": _of("date", "invalid date"),
    "datetime": _of("datetime", "invalid datetime"),
}


def constant(name: str) -> Callable[[], Format]:
    return partial(Format, name)


def validate(form: Format, text: str) -> Faults:
    return Faults(FORMATS[form](text))


def value(found: Known | Faults) -> Format | list[str]:
    """Return what an optional holds. Raises ValueError if that is nothing."""
    if not found:
        raise ValueError("optional.none() dereference")
    return Format(found) if isinstance(found, Known) else list(found)
