"""How the kit's notebooks are validated: pytest -p labkit.nbval_plugin --nbval notebooks.

Adds to nbval what it has no option for: pictures and HTML are not compared, since their text twin is; rules and kernel
are the kit's unless the command line names others. Cells tagged `needs:…` are not compared where they say that they
were skipped, those tagged `each:node` where there are more nodes, or fewer, than when the output was stored.

Upstream: nbval/plugin.py
"""

import os
from typing import Any

from labkit import progress
from labkit.normalise import RULES

# Drawn anew at every run, in figures that may differ by a pixel; what they say stands in text/plain.
NOT_COMPARED = ("image/svg+xml", "text/html")


def pytest_configure(config: Any) -> None:
    """Set the kit's rules and this interpreter's kernel."""
    if getattr(config.option, "nbval", False):
        os.environ[progress.VARIABLE] = "off"  # of the kernels that nbval starts: no seconds, no widgets
        config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or str(RULES)
        config.option.current_env = config.option.current_env or not config.option.nbval_kernel_name


def pytest_collectstart(collector: Any) -> None:
    """Leave pictures out of the comparison."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare = (*collector.skip_compare, *NOT_COMPARED)


def pytest_itemcollected(item: Any) -> None:
    """Leave out of the comparison what depends on how many nodes there are."""
    if hasattr(item, "compare_outputs"):
        compare, tags = item.compare_outputs, item.cell.metadata.get("tags", [])
        item.compare_outputs = lambda new, stored, *rest: (
            of_other_nodes(tags, new, stored) or compare(new, stored, *rest)
        )


def of_other_nodes(tags: list[str], new: list[Any], stored: list[Any]) -> bool:
    """Tell whether a cell that needs nodes was skipped, or one that has a line for each has more of them, or fewer."""
    lines = [_lines(new), _lines(stored)]
    if "each:node" in tags:
        return len(lines[0]) != len(lines[1])
    return any(tag.startswith("needs:") for tag in tags) and any(
        line.startswith("skipped: ") for line in sum(lines, [])
    )


def _lines(outputs: list[Any]) -> list[str]:
    texts = [each.get("text") or each.get("data", {}).get("text/plain", "") for each in outputs]
    return "".join(texts).splitlines()
