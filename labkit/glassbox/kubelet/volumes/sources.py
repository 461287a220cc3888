"""What volumes are made from: what a pod may know, the API, and a place on the node.

Upstream: pkg/volume/plugins.go (VolumeHost)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.glassbox.kubelet.env import Lookup


@dataclass(frozen=True)
class Sources:
    """One pod's access to what its volumes need."""

    facts: Mapping[str, str]  # field paths of the downward API that only a running pod has
    lookup: Lookup
    request_token: Callable[[str, dict], dict]  # service account's name, TokenRequest -> the same with its status
    host_tree: Path  # what hostPath volumes see as the node's root directory
    now: float
