"""Clusters that are broken on purpose, so that a cell can be seen to tell: what it shows is asserted on for a reason.

A lesson's module declares its breaks. One that breaks the cluster is a function without arguments that puts something
else in the place of a component's own function; it runs in the machine's first process, before the components are
forked from it. One that breaks what the student has is given the folder of a test and the kernel's environment.
"""

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

INSIDE = Path(__file__).parent / "inside"  # its sitecustomize.py runs in every interpreter of a broken cluster
VARIABLE = "LABKIT_TEST_BREAK"
FIRST = "LABKIT_TEST_FIRST"  # names a folder to be looked in first; a kernel puts its interpreter's before PATH


@dataclass(frozen=True)
class Break:
    """What is broken, which things shown must then be missing, and which cells must run before theirs."""

    lesson: str
    act: Callable
    shown: tuple[str, ...]
    after: tuple[str, ...]
    at_the_students: bool

    @property
    def name(self) -> str:
        return f"{self.lesson}.{self.act.__name__}"

    def environment(self) -> dict[str, str]:
        """Return the variables of a `labkit up` that makes a cluster broken in this way."""
        return {} if self.at_the_students else {VARIABLE: self.name, "PYTHONPATH": str(INSIDE)}


BREAKS: dict[str, Break] = {}


def breaks(*shown: str, after: tuple[str, ...] = (), at_the_students: bool = False):
    """Declare a break of what the cells tagged `shows:NN.id` show; `after` are ids of cells without their prefix."""

    def declare(act: Callable) -> Callable:
        lesson = act.__module__.rpartition("_")[2]
        made = Break(lesson, act, tuple(f"{lesson}.{each}" for each in shown), tuple(after), at_the_students)
        BREAKS[made.name] = made
        return act

    return declare


def stand_in(folder: Path, environment: dict[str, str], program: str, script: str) -> None:
    """Put a shell script in the place of a program of the student's."""
    path = folder / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    environment[FIRST] = str(folder)


def kubectl_stand_in(folder: Path, environment: dict[str, str], script: str) -> None:
    """Put a shell script in the place of kubectl; `$kubectl` in it is the real one."""
    from labkit import kubectl  # here, as a machine's first process needs none of it

    stand_in(folder, environment, "kubectl", f"kubectl={kubectl.wheel_binary()}\n{script}")


def break_this_machine() -> None:
    """Do in a machine's first process what the environment asks for; nothing in any other process."""
    wanted = os.environ.get(VARIABLE)
    if wanted and "labkit.glassbox.machine" in sys.orig_argv:
        try:
            from tests import shows  # noqa: F401  declares them all

            BREAKS[wanted].act()
        except BaseException:  # a sitecustomize that fails is passed over, and the cluster would be whole
            traceback.print_exc()
            os._exit(1)
