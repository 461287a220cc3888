"""One pod's scheduling cycle: the pod, the cluster as it is seen for that pod, and what is computed of it once.

A filter or a score that looks at more than one node prepares its knowledge once a cycle, with `once`; then it is asked
for every node.

Upstream: pkg/scheduler/framework/cycle_state.go, the PreFilter and PreScore extension points
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from labkit.glassbox.scheduler.nodes import NodeInfo

Prepared = TypeVar("Prepared")


@dataclass(frozen=True)
class Storage:
    """The claims, volumes and classes that there are; claims by namespace/name, the others by name."""

    claims: Mapping[str, dict] = field(default_factory=dict)
    volumes: Mapping[str, dict] = field(default_factory=dict)
    classes: Mapping[str, dict] = field(default_factory=dict)


@dataclass(frozen=True)
class Cycle:
    """What the pod is scheduled by. Nothing here changes while it lasts."""

    pod: dict
    nodes: Mapping[str, NodeInfo]
    namespaces: Mapping[str, dict] = field(default_factory=dict)  # by name
    storage: Storage = field(default_factory=Storage)
    _prepared: dict[Callable, Any] = field(default_factory=dict)

    def once(self, prepare: Callable[[Cycle], Prepared]) -> Prepared:
        """Return prepare(cycle), computed at the first call."""
        if prepare not in self._prepared:
            self._prepared[prepare] = prepare(self)
        return self._prepared[prepare]

    def with_node(self, info: NodeInfo) -> Cycle:
        """Return the cycle as it would be with one node otherwise."""
        return replace(self, nodes={**self.nodes, info.name: info}, _prepared={})
