"""A clock that keeps appointments: calls at each of the scheduled times, never waiting for what the call starts.

asyncio's own timers are rounded up to a millisecond by epoll; the kernel's timerfd is not. A late wake-up makes up for
all that is due and keeps the intended times. Without timerfd asyncio.sleep stands in; the lag on record shows it.

Standard library only: this file goes into the generator's pod. (os.timerfd_create is there from Python 3.13 on.)
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable, Sequence

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME


class _Spec(ctypes.Structure):
    """struct itimerspec: interval and first expiry, each in seconds and nanoseconds."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


def open_timer() -> int | None:
    """Return a timerfd on the monotonic clock, None where there is none."""
    try:
        fd = ctypes.CDLL(None, use_errno=True).timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    except (AttributeError, OSError):
        return None
    return fd if fd >= 0 else None


def arm(fd: int, when: float) -> None:
    """Make the timer fire at a monotonic time; one that has passed fires at once."""
    spec = _Spec(0, 0, int(when), int(when % 1 * 1e9))
    if ctypes.CDLL(None, use_errno=True).timerfd_settime(fd, _ABSOLUTE, ctypes.byref(spec), None):
        raise OSError(ctypes.get_errno(), "timerfd_settime")


async def pace(times: Sequence[float], begin: float, send: Callable[[float, float], None]) -> str:
    """Call send(intended, now) for each time, `begin` being their zero; return which clock was used."""
    waiting = iter(times)
    following = next(waiting, None)

    def due(now: float) -> None:
        nonlocal following
        while following is not None and begin + following <= now:
            send(begin + following, now)
            following = next(waiting, None)

    fd = open_timer()
    if fd is None:
        while following is not None:
            await asyncio.sleep(begin + following - time.monotonic())
            due(time.monotonic())
        return "asyncio.sleep"
    loop, finished = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        os.read(fd, 8)
        due(time.monotonic())
        if following is None:
            finished.set()
        else:
            arm(fd, begin + following)

    loop.add_reader(fd, wake)
    try:
        if following is not None:
            arm(fd, begin + following)
            await finished.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return "timerfd"
