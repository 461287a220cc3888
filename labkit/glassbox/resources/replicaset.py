"""ReplicaSet: so many pods of one template.

Upstream: pkg/registry/apps/replicaset/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, TEMPLATE, number
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import warnings, workloads


class ReplicaSetStrategy(Strategy):
    has_status = True
    counts_generation = True

    def faults(self, obj: dict) -> Iterable[Cause]:
        return workloads.replicaset(obj)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return [*workloads.replicaset(obj), *workloads.same_selector(obj, old)]

    def warnings(self, obj: dict) -> list[str]:
        return warnings.template(obj)

    empty_status = {"replicas": 0}


REPLICASETS = Resource(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    singular="replicaset",
    namespaced=True,
    definition="io.k8s.api.apps.v1.ReplicaSet",
    strategy=ReplicaSetStrategy(),
    short_names=("rs",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(
        NAME,
        number("Desired", "spec.replicas"),
        number("Current", "status.replicas"),
        number("Ready", "status.readyReplicas"),
        AGE,
        *TEMPLATE,
    ),
    field_labels=("status.replicas",),
    storage_version_hash="P1RzHs8/mWQ=",
)
