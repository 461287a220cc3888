"""How long a wait has taken so far: a line that changes once a second, and is gone when the wait is over.

In a notebook it is an output of its own, on a terminal it stands on standard error. Where nobody looks on, there is
none: outputs that are stored and compared must not depend on how fast a machine is. So the kit's own runs and nbval
set LABKIT_PROGRESS=off, and `labkit lab` sets it on.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

VARIABLE = "LABKIT_PROGRESS"
SECOND = 1.0  # what takes less is not worth a word

Line = Callable[[str], None]  # shows a text in the place of the one before


def is_watched() -> bool:
    """Tell whether somebody may look on: what moves need not move where outputs are only stored or compared."""
    return os.environ.get(VARIABLE) != "off"


@contextmanager
def elapsed(most: float | None = None) -> Iterator[None]:
    """Show how long the block takes; `most` is the seconds after which it gives up, where that is known."""
    line = _line()
    if line is None:
        yield
        return
    over = threading.Event()
    ticking = threading.Thread(target=tick, args=(line, over, most), daemon=True, name="labkit progress")
    ticking.start()
    try:
        yield
    finally:
        over.set()
        ticking.join()


def tick(line: Line, over: threading.Event, most: float | None, clock: Callable[[], float] = time.monotonic) -> None:
    """Show the seconds until it is over; then take the line away, if there was one."""
    begun, shown = clock(), False
    while not over.wait(SECOND):
        line(f"  … {clock() - begun:.0f} s" + (f", at most {most:g} s" if most else ""))
        shown = True
    if shown:
        line("")


def _line() -> Line | None:
    if not is_watched() or threading.current_thread() is not threading.main_thread():
        return None
    if _in_notebook():
        return NotebookLine()
    return _terminal_line if sys.stderr.isatty() else None


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


class NotebookLine:
    """An output that is made when there is first something to show."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, text: str) -> None:
        from IPython.display import display

        data = {"text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _terminal_line(text: str) -> None:
    sys.stderr.write(f"\r\033[K{text}")
    sys.stderr.flush()
