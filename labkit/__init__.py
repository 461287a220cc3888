"""labkit: a course kit for Kubernetes in Jupyter. A lesson needs `Lab`; the rest is for those who look further.

`Lab` gives a lesson its namespace and the verbs wait, predict, check and draw; `connect` only finds a cluster;
LabError is the root of all that the kit raises.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.checks import Verdict
    from labkit.cluster import Cluster, connect
    from labkit.errors import LabError, WaitTimeout
    from labkit.lab import Lab

__version__ = "0.1.0"
__all__ = ["Cluster", "Lab", "LabError", "Verdict", "WaitTimeout", "connect"]

_WHERE = {
    "Cluster": "cluster", "Lab": "lab", "LabError": "errors", "Verdict": "checks", "WaitTimeout": "errors",
    "connect": "cluster",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `labkit up` must not pay for a notebook's imports (PEP 562)."""
    if name in _WHERE:
        return getattr(import_module(f"labkit.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'labkit' has no attribute {name!r}")
