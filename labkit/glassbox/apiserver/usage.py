"""When somebody last used the cluster: a file in the data directory whose modification time says so.

The cluster's own components ask all the time; a request of anybody whose name does not begin with "system:" is use.
The supervisor reads the time and stops a cluster that nobody has used for two hours. One touch a minute is enough.

Upstream: none
"""

from pathlib import Path

from labkit.glassbox.clock import Clock

FILE = "last-use"
EVERY = 60.0  # seconds between touches


class LastUse:
    """Notes use in a file; never fails a request for it."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._path = data_dir / FILE
        self._clock = clock
        self._noted = 0.0

    def note(self, user: str) -> None:
        """Take note of a request by this user."""
        now = self._clock.now()
        if user.startswith("system:") or now - self._noted < EVERY:
            return
        self._noted = now
        try:
            self._path.touch(mode=0o600)
        except OSError:
            pass  # a full disk must not refuse what would free it
