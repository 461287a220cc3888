"""What else went on while a run was measured: hiccups of the machine, time stolen from it, the generator's own share.

A hiccup is how much too late a process that only sleeps wakes up. It is measured beside the generator, in a process of
its own, so that the generator's work is not taken for the machine's. Stolen time is what a hypervisor gave to others.

Standard library only: this file goes into the generator's pod. The idea of the meter is Gil Tene's jHiccup.
"""

import json
import select
import subprocess
import sys
import time

NAP, WORTH_KEEPING, MOST_KEPT = 0.002, 0.005, 200  # seconds, seconds, how many


class Meter:
    """Measures from `Meter()` to `stop()`: hiccups, steal, processor time of this process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "labkit.loadtest.noise"]
        self._napper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.began, self.cpu, self.before = time.monotonic(), time.process_time(), _jiffies()

    def stop(self) -> dict:
        """Return seconds, generator_cpu (cores), steal (share of all time, None where unknown), hiccups."""
        elapsed, cpu = time.monotonic() - self.began, time.process_time() - self.cpu
        told, _ = self._napper.communicate()  # closes its input: that ends it
        naps = json.loads(told or b"{}")
        return {"seconds": elapsed, "generator_cpu": cpu / elapsed, "steal": _steal(self.before, _jiffies()), **naps}


def nap(stop: int) -> dict:
    """Sleep and wake until the file ends; return the longest hiccup and when the worth keeping were."""
    began = last = time.monotonic()
    longest = 0.0
    kept: list[list[float]] = []
    while not select.select([stop], [], [], NAP)[0]:
        now = time.monotonic()
        late = now - last - NAP
        longest = max(longest, late)
        if late > WORTH_KEEPING and len(kept) < MOST_KEPT:
            kept.append([round(now - began, 4), round(late, 4)])
        last = now
    return {"longest_hiccup": longest, "hiccups": kept}


def _jiffies() -> list[int]:
    try:
        with open("/proc/stat") as file:
            return [int(word) for word in file.readline().split()[1:]]
    except OSError:
        return []


def _steal(before: list[int], after: list[int]) -> float | None:
    """Return the share of the machine's time that was stolen: the eighth figure of /proc/stat's first line."""
    if len(before) < 8 or len(after) < 8 or sum(after) == sum(before):
        return None
    return (after[7] - before[7]) / (sum(after[:8]) - sum(before[:8]))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(nap(sys.stdin.fileno())))
