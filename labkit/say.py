"""What the kit says to a student goes through here, in one voice: • doing, ✓ done, ✎ your prediction.

A line must read the same on every run: no seconds, no ids, no counts that vary.
"""

import sys


def say(line: str) -> None:
    """Write a line to the cell's output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def warn(line: str) -> None:
    """Write a line beside the output: what a student should know and a stored output need not hold."""
    sys.stderr.write(line + "\n")
