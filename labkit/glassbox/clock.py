"""Time as an argument: what asks for the time is given a Clock, so that a test can hold it.

Timestamps on the API are RFC 3339 in UTC: whole seconds (metav1.Time) or six digits (metav1.MicroTime).
"""

import threading
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Seconds since the epoch, and a pause that an event can cut short."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        threading.Event().wait(seconds)


def rfc3339(seconds: float) -> str:
    """Return "2026-01-31T12:00:00Z" for seconds since the epoch."""
    return _of_second(int(seconds))


@lru_cache(maxsize=16)
def _of_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(seconds: float) -> str:
    """Return "2026-01-31T12:00:00.000000Z" for seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> float:
    """Return seconds since the epoch for an RFC 3339 time. Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
