"""Cron schedules: five fields or a descriptor (@hourly, @every 5m), and when the next one is due.

What is accepted and how it is refused is upstream's library's, to the letter: Sunday is 0 and never 7, `?` is `*`, and
there is no L, W or #. (Python's libraries take another grammar, with other words.) An hour that the clocks skip is not
made up for, one that comes twice counts twice.

Upstream: robfig/cron v3, parser.go, spec.go
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Of each field: the least value, the greatest, and the names of values.
FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(DAYS)}),
)
DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
DURATION = re.compile(r"(?<![0-9.])([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
HORIZON = 5 * 366 * 86400  # seconds after which a schedule that has not matched never will


@dataclass(frozen=True)
class Field:
    """The values that a field matches; `any` when it restricts nothing."""

    values: frozenset[int]
    any: bool


@dataclass(frozen=True)
class Every:
    """A constant delay, in seconds."""

    seconds: int

    def next(self, after: float, zone: tzinfo) -> float:
        return int(after) + self.seconds


@dataclass(frozen=True)
class Schedule:
    """Minute, hour, day of month, month, day of week."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    def next(self, after: float, zone: tzinfo) -> float | None:
        """Return the first match after that time (seconds since the epoch), None when there is none in five years."""
        at = (int(after) // 60 + 1) * 60
        while at <= after + HORIZON:
            local = datetime.fromtimestamp(at, zone)
            if not self.on_day(local):
                midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, fold=0)
                at = max(int(midnight.timestamp()), at + 60)
            elif local.hour not in self.hour.values:
                at += 3600 - local.minute * 60
            elif local.minute not in self.minute.values:
                at += 60
            else:
                return at
        return None

    def on_day(self, local: datetime) -> bool:
        if local.month not in self.month.values:
            return False
        day, weekday = local.day in self.day.values, local.isoweekday() % 7 in self.weekday.values
        # Where both are restricted, either will do.
        return day and weekday if self.day.any or self.weekday.any else day or weekday


def parse(text: str) -> Schedule | Every:
    """Return the schedule that a text means. Raises ValueError in upstream's words."""
    if not text:
        raise ValueError("empty spec string")
    if text.startswith("@every "):
        return every(text)
    if text.startswith("@"):
        if text not in DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = DESCRIPTORS[text]
    words = text.split()
    if len(words) != len(FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(words)}: [{' '.join(words)}]")
    return Schedule(*(field(word, *bounds) for word, bounds in zip(words, FIELDS, strict=True)))


def every(text: str) -> Every:
    duration = text.removeprefix("@every ")
    try:
        return Every(max(1, int(seconds(duration))))
    except ValueError as error:
        raise ValueError(f"failed to parse duration {text}: {error}") from error


def seconds(duration: str) -> float:
    """Return the seconds that Go's "1h30m" or "15.063s" means. Raises ValueError in Go's words."""
    parts = DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f'time: invalid duration "{duration}"')
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def field(text: str, least: int, greatest: int, names: dict[str, int]) -> Field:
    ranges = [range_of(part, least, greatest, names) for part in text.split(",") if part]
    values = frozenset(value for each, _ in ranges for value in each)
    return Field(values, any(everything for _, everything in ranges))


def range_of(text: str, least: int, greatest: int, names: dict[str, int]) -> tuple[range, bool]:
    """Return the values of one "A", "A-B", "*" or either with "/STEP", and whether that is everything."""
    bounds, *steps = text.split("/")
    first, *last = bounds.split("-")
    everything = first in ("*", "?")
    start = least if everything else value(first, names)
    end = greatest if everything else value(last[0], names) if last else start
    if len(last) > 1:
        raise ValueError(f"too many hyphens: {text}")
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = number(steps[0]) if steps else 1
    if steps and not last:
        end = greatest
    faults = (
        (start < least, f"beginning of range ({start}) below minimum ({least})"),
        (end > greatest, f"end of range ({end}) above maximum ({greatest})"),
        (start > end, f"beginning of range ({start}) beyond end of range ({end})"),
        (step == 0, "step of range should be a positive number"),
    )
    for is_so, fault in faults:
        if is_so:
            raise ValueError(f"{fault}: {text}")
    return range(start, end + 1, step), everything and step == 1


def value(text: str, names: dict[str, int]) -> int:
    known = names.get(text.lower())
    return number(text) if known is None else known


def number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 0:
        raise ValueError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)
