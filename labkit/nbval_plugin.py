"""How the kit's notebooks are validated: pytest -p labkit.nbval_plugin --nbval notebooks.

Adds to nbval what it has no option for: pictures and HTML are not compared, since their text twin is; rules and kernel
are the kit's unless the command line names others.

Upstream: nbval/plugin.py
"""

from typing import Any

from labkit.normalise import RULES

# Drawn anew at every run, in figures that may differ by a pixel; what they say stands in text/plain.
NOT_COMPARED = ("image/svg+xml", "text/html")


def pytest_configure(config: Any) -> None:
    """Set the kit's rules and this interpreter's kernel."""
    if getattr(config.option, "nbval", False):
        config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or str(RULES)
        config.option.current_env = config.option.current_env or not config.option.nbval_kernel_name


def pytest_collectstart(collector: Any) -> None:
    """Leave pictures out of the comparison."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare = (*collector.skip_compare, *NOT_COMPARED)
