"""Times as Go reads and writes them: RFC 3339, in whole seconds or with exactly six digits.

Upstream: staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/{time,micro_time}.go
"""

import re
from datetime import UTC, datetime

LAYOUT, MICRO_LAYOUT = "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.000000Z07:00"
PARTS = (
    (r"\d{4}", "2006"),
    (r"-", "-"),
    (r"\d{2}", "01"),
    (r"-", "-"),
    (r"\d{2}", "02"),
    (r"T", "T"),
    (r"\d{2}", "15"),
    (r":", ":"),
    (r"\d{2}", "04"),
    (r":", ":"),
    (r"\d{2}", "05"),
)
ZONE = (r"Z|[+-]\d{2}:\d{2}", "Z07:00")


def time(text: str) -> str:
    """Return the time in UTC and whole seconds. Raises ValueError in Go's words."""
    moment = _parse(text, LAYOUT, [*PARTS, (r"(\.\d+)?", ""), ZONE])
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time(text: str) -> str:
    """Return the time in UTC and microseconds. Raises ValueError in Go's words."""
    moment = _parse(text, MICRO_LAYOUT, [*PARTS, (r"\.\d{6}", ".000000"), ZONE])
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse(text: str, layout: str, parts: list[tuple[str, str]]) -> datetime:
    rest = text
    for pattern, wanted in parts:
        match = re.match(pattern, rest)
        if match is None:
            told = f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{wanted}"'
            raise ValueError(told)
        rest = rest[match.end() :]
    if rest:
        raise ValueError(f'parsing time "{text}": extra text: "{rest}"')
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise ValueError(f'parsing time "{text}": day out of range') from None
