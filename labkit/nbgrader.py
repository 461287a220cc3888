"""What `lab.check` gives when nbgrader runs it: the points, as the cell's last value, so that there is partial credit.

nbgrader reads a graded cell thus: an error or a word on standard error is no point, a number as its value is that many,
anything else is all of them. So a verdict, which is no number, must never be the value. It is printed instead.

What still converges is waited for. What could not be checked costs nothing, and is said: the instructor looks at it.

Upstream: nbgrader/utils.py (determine_grade), nbgrader/converters/autograde.py (NBGRADER_EXECUTION)
"""

import os
import threading
import time
from collections.abc import Callable

from labkit.say import say
from labkit.verdict import State, Verdict

LONGEST_SECONDS, LOOK_SECONDS = 120.0, 1.0


def grades() -> bool:
    """Tell whether nbgrader runs this process."""
    return bool(os.environ.get("NBGRADER_EXECUTION"))


def points_of(verdict: Verdict) -> float:
    """Return what a verdict is worth: the points of what holds, and of what could not be looked at."""
    if verdict.state is State.NOT_TRIED:
        return 0.0
    return float(sum(f.points for f in verdict.findings if f.state in (State.RIGHT, State.UNCHECKED)))


def grade(check: Callable[[], Verdict]) -> float:
    """Check until nothing converges any more, print the verdict and return its points."""
    deadline = time.monotonic() + LONGEST_SECONDS
    verdict = check()
    while verdict.state is State.CONVERGING and time.monotonic() < deadline:
        threading.Event().wait(LOOK_SECONDS)
        verdict = check()
    say(str(verdict))
    return points_of(verdict)
