"""StatefulSet: pods with names and volumes of their own, one after another.

Upstream: pkg/registry/apps/statefulset/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, READY, of_template
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import names, warnings, workloads


class StatefulSetStrategy(Strategy):
    has_status = True
    counts_generation = True
    empty_status = {"replicas": 0, "availableReplicas": 0}
    name_rule = staticmethod(names.dns_label)

    def faults(self, obj: dict) -> Iterable[Cause]:
        return workloads.statefulset(obj)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return [*workloads.statefulset(obj), *workloads.statefulset_change(obj, old)]

    def warnings(self, obj: dict) -> list[str]:
        return warnings.template(obj)


STATEFULSETS = Resource(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    singular="statefulset",
    namespaced=True,
    definition="io.k8s.api.apps.v1.StatefulSet",
    strategy=StatefulSetStrategy(),
    short_names=("sts",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(NAME, READY, AGE, *of_template()),
    storage_version_hash="H+vl74LkKdo=",
)
