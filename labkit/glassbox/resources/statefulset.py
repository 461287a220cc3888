"""StatefulSet: pods with names and volumes of their own, one after another.

Upstream: pkg/registry/apps/statefulset/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, READY, of_template
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import group_warnings, names, workloads


class StatefulSetStrategy(Strategy):
    has_status = True
    counts_generation = True
    metadata_looks = 3
    empty_status = {"replicas": 0, "availableReplicas": 0}
    name_rule = staticmethod(names.dns_label)
    faults = staticmethod(workloads.statefulset)
    pod_template = "spec.template"
    counted = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return [*workloads.statefulset(obj), *workloads.statefulset_change(obj, old)]

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        drop_disabled(obj)

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        drop_disabled(obj)
        super().prepare_for_update(obj, old)

    def warnings(self, obj: dict) -> list[str]:
        return [*super().warnings(obj), *group_warnings.stateful_set(obj.get("spec") or {})]


def drop_disabled(obj: dict) -> None:
    """Drop what belongs to a feature that is off by default: MaxUnavailableStatefulSet is, in 1.36."""
    strategy = (obj.get("spec") or {}).get("updateStrategy") or {}
    (strategy.get("rollingUpdate") or {}).pop("maxUnavailable", None)


STATEFULSETS = Resource(
    group="apps",
    kind="StatefulSet",
    plural="statefulsets",
    strategy=StatefulSetStrategy(),
    short_names=("sts",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(NAME, READY, AGE, *of_template()),
)
