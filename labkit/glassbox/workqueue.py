"""A queue of keys: what happened is forgotten, only *what to look at* is kept.

A key that is added while it waits is there once; one that is added while it is worked on comes back afterwards, so that
no two workers ever hold the same key and no change is missed. A key that is added for later several times comes once,
at the earliest of these times. A key that failed comes back later: 5 ms, 10 ms, 20 ms … up to 1000 s.

Upstream: staging/src/k8s.io/client-go/util/workqueue
"""

import heapq
import math
import threading
import time
from collections.abc import Callable, Hashable

FIRST_DELAY = 0.005  # seconds
LONGEST_DELAY = 1000.0  # seconds


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    return min(FIRST_DELAY * 2 ** (failures - 1), LONGEST_DELAY)


class WorkQueue:
    """add() from any thread, get() and done() from workers."""

    def __init__(self, now: Callable[[], float] = time.monotonic, rank: Callable[[Hashable], float] | None = None):
        self.now, self.rank = now, rank  # the lowest rank comes first; without ranks, who came first
        self.changed = threading.Condition()
        self.ready: dict[Hashable, None] = {}  # in order of arrival, each once
        self.working: set[Hashable] = set()
        self.again: dict[Hashable, None] = {}  # added while it was worked on
        self.later: list[tuple[float, int, Hashable]] = []
        self.due: dict[Hashable, float] = {}  # of each key in `later`, the earliest time
        self.sequence = 0
        self.failures: dict[Hashable, int] = {}
        self.closed = False

    def add(self, key: Hashable) -> None:
        """Have the key looked at."""
        with self.changed:
            self._add(key)

    def _add(self, key: Hashable) -> None:
        (self.again if key in self.working else self.ready)[key] = None
        self.changed.notify()

    def add_after(self, key: Hashable, seconds: float) -> None:
        """Have the key looked at in so many seconds."""
        with self.changed:
            when = self.now() + seconds
            if when >= self.due.get(key, math.inf):
                return
            self.due[key] = when
            self.sequence += 1  # keys need not be comparable
            heapq.heappush(self.later, (when, self.sequence, key))
            self.changed.notify()

    def retry(self, key: Hashable) -> float:
        """Have a failed key looked at again, later each time; return in how many seconds."""
        self.failures[key] = self.failures.get(key, 0) + 1
        delay = backoff(self.failures[key])
        self.add_after(key, delay)
        return delay

    def forget(self, key: Hashable) -> None:
        """Note that the key succeeded."""
        self.failures.pop(key, None)

    def get(self) -> Hashable | None:
        """Wait for a key and take it; None when the queue is closed. Call done() with it afterwards."""
        with self.changed:
            while True:
                if self.closed:
                    return None
                wait = self._promote()
                if self.ready:
                    key = min(self.ready, key=self.rank) if self.rank else next(iter(self.ready))
                    del self.ready[key]
                    self.working.add(key)
                    return key
                self.changed.wait(wait)

    def _promote(self) -> float | None:
        """Make what is due ready; return the seconds until the next is, or None."""
        now = self.now()
        while self.later and self.later[0][0] <= now:
            when, _, key = heapq.heappop(self.later)
            if self.due.get(key) == when:  # else it came earlier than this
                del self.due[key]
                self._add(key)
        return self.later[0][0] - now if self.later else None

    def done(self, key: Hashable) -> None:
        """Give a key back; it is ready at once if it was added meanwhile."""
        with self.changed:
            self.working.discard(key)
            if key in self.again:
                del self.again[key]
                self._add(key)

    def close(self) -> None:
        """Let every get() return None."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
