"""RuntimeClass: which runtime runs a pod, what that costs on top, and where it is to be had.

Upstream: pkg/registry/node/runtimeclass/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import group_warnings, names
from labkit.glassbox.resources.validation.fields import duplicate, every, items
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.metadata import labels
from labkit.glassbox.resources.validation.resource_amounts import resources
from labkit.glassbox.resources.validation.scheduling import toleration


class RuntimeClassStrategy(Strategy):
    immutable = ("handler",)

    def faults(self, obj: dict) -> Iterator[Cause]:
        scheduling = obj.get("scheduling") or {}
        yield from names.needed(names.dns_label, "handler", obj.get("handler", ""))
        yield from resources({"limits": (obj.get("overhead") or {}).get("podFixed")}, "overhead")
        yield from labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
        yield from every(toleration, scheduling.get("tolerations"), "scheduling.tolerations")
        seen: list[dict] = []
        for path, each in items(scheduling.get("tolerations"), "scheduling.tolerations"):
            key = {field: each.get(field, "") for field in ("key", "operator", "value", "effect")}
            if key in seen:
                yield duplicate(path, struct("Toleration", each))
            seen.append(key)

    def warnings(self, obj: dict) -> list[str]:
        return group_warnings.runtime_class(obj)


RUNTIME_CLASSES = Resource(
    group="node.k8s.io",
    kind="RuntimeClass",
    plural="runtimeclasses",
    namespaced=False,
    strategy=RuntimeClassStrategy(),
    columns=(NAME, Column("Handler", at("handler")), AGE),
)
