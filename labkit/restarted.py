"""A kernel that was restarted in mid-lesson has forgotten `lab`: say so before a cell fails for it, or reaches another
cluster (without a Lab, kubectl speaks to whatever the user's own kubeconfig names).

The kernels that the kit starts load it (kernel.py); it changes nothing, it only warns.
"""

import re
from typing import Any

from labkit.say import warn

NEEDS_LAB = re.compile(r"\blab\.\w|^\s*!\s*kubectl", re.MULTILINE)
MAKES_LAB = re.compile(r"^\s*lab\s*=", re.MULTILINE)
ADVICE = (
    "✗ this kernel has begun anew and knows no lab: no cluster is connected\n"
    "  next: the menu Run, Run All Above Selected Cell; the lesson begins again in an empty namespace"
)


def watch(shell: Any) -> None:
    """Warn before a cell that needs a Lab where there is none."""

    def look(info: Any) -> None:
        if forgotten(info.raw_cell, shell.user_ns):
            warn(ADVICE)

    shell.events.register("pre_run_cell", look)


def forgotten(cell: str, names: dict[str, Any]) -> bool:
    """Tell whether a cell needs a Lab that is not there."""
    return "lab" not in names and bool(NEEDS_LAB.search(cell)) and not MAKES_LAB.search(cell)
