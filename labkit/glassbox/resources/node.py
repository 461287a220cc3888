"""Node: a machine that runs pods.

Upstream: pkg/registry/core/node/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import node_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import scheduling
from labkit.glassbox.resources.validation.fields import forbidden, invalid


class NodeStrategy(Strategy):
    """A kubelet registers its node together with its status; later writes of the node leave the status alone."""

    has_status = True

    def prepare_for_create(self, obj: dict) -> None:
        obj.setdefault("spec", {})
        obj.setdefault("status", {}).setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})

    def faults(self, obj: dict) -> Iterable[Cause]:
        spec = obj.get("spec") or {}
        yield from scheduling.taints(spec.get("taints") or [], "metadata.taints")
        ranges = spec.get("podCIDRs") or []
        if len(ranges) > len({":" in each for each in ranges}):
            yield invalid("spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family")

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        spec, held = obj.get("spec") or {}, dig(old, "spec.podCIDRs")
        yield from self.faults(obj)
        yield from scheduling.taints(spec.get("taints") or [], "metadata.taints")  # upstream looks twice
        if held and spec.get("podCIDRs") != held:
            yield forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')


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
