"""PriorityClass: who goes first, and who has to make room.

Upstream: pkg/registry/scheduling/priorityclass/strategy.go, pkg/apis/scheduling/v1/helpers.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, at, number
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation.fields import forbidden, one_of, unchanged

HIGHEST = 1_000_000_000  # that users may give; what is above is the system's
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


RESERVED = "priority class names with 'system-' prefix are reserved for system use only."


def other_than_known(name: str, value: int, is_default: bool) -> str:
    """Tell what makes a class of the system another than it is known; "" of one that is as it should be."""
    known = SYSTEM.get(name)
    if known is None:
        return f"{name} is not a known system priority class"
    if value != known[0]:
        return f"value of {name} PriorityClass must be {known[0]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


class PriorityClassStrategy(Strategy):
    """Nothing of it that counts may change, so its generation stays 1."""

    counts_generation = True

    def faults(self, obj: dict) -> Iterator[Cause]:
        name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
        if name.startswith("system-"):
            if told := other_than_known(name, value, obj.get("globalDefault", False)):
                yield forbidden("metadata.name", f"{RESERVED} error: {told}")
        elif value > HIGHEST:
            yield forbidden("value", f"maximum allowed value of a user defined priority is {HIGHEST}")
        yield from one_of("preemptionPolicy", obj.get("preemptionPolicy"), ("Never", "PreemptLowerPriority"))

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        if obj.get("value", 0) != old.get("value", 0):
            yield forbidden("value", "may not be changed in an update.")
        yield from unchanged("preemptionPolicy", obj.get("preemptionPolicy"), old.get("preemptionPolicy"))


PRIORITY_CLASSES = Resource(
    group="scheduling.k8s.io",
    kind="PriorityClass",
    plural="priorityclasses",
    namespaced=False,
    strategy=PriorityClassStrategy(),
    short_names=("pc",),
    columns=(
        NAME,
        number("Value", "value"),
        Column("Global-Default", at("globalDefault", False), describes="globalDefault", type="boolean"),
        AGE,
        Column("PreemptionPolicy", at("preemptionPolicy", "<unset>"), describes="preemptionPolicy"),
    ),
)
