"""PriorityClass: who goes first, and who has to make room.

Upstream: pkg/registry/scheduling/priorityclass/strategy.go, pkg/apis/scheduling/v1/helpers.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME, at, number
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy

# What there is from the beginning: name → (value, what for).
SYSTEM = {
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
}


class PriorityClassStrategy(Strategy):
    """Nothing of it that counts may change, so its generation stays 1."""

    counts_generation = True


PRIORITY_CLASSES = Resource(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    singular="priorityclass",
    namespaced=False,
    definition="io.k8s.api.scheduling.v1.PriorityClass",
    strategy=PriorityClassStrategy(),
    short_names=("pc",),
    columns=(
        NAME,
        number("Value", "value"),
        Column("Global-Default", at("globalDefault", False), describes="globalDefault", type="boolean"),
        AGE,
        Column("PreemptionPolicy", at("preemptionPolicy", "<unset>"), describes="preemptionPolicy"),
    ),
    storage_version_hash="1QwjyaZjj3Y=",
)
