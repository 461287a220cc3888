"""Node: a machine that runs pods.

Upstream: pkg/registry/core/node/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import node_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import scheduling


class NodeStrategy(Strategy):
    """A kubelet registers its node together with its status; later writes of the node leave the status alone."""

    has_status = True

    def prepare_for_create(self, obj: dict) -> None:
        obj.setdefault("spec", {})
        obj.setdefault("status", {}).setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})

    def faults(self, obj: dict) -> Iterable[Cause]:
        return scheduling.taints((obj.get("spec") or {}).get("taints") or [], "metadata.taints")


NODES = Resource(
    kind="Node",
    plural="nodes",
    namespaced=False,
    strategy=NodeStrategy(),
    short_names=("no",),
    subresources=("proxy", "status"),
    columns=node_columns.COLUMNS,
    field_labels=("spec.unschedulable",),
    storage_version_hash="XwShjMxG9Fs=",
)
