"""ReplicaSet: so many pods of one template.

Upstream: pkg/registry/apps/replicaset/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, TEMPLATE, at
from labkit.glassbox.resources.resource import ALL_VERBS, Column, Resource
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
    verbs=ALL_VERBS,
    short_names=("rs",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(
        NAME,
        Column("Desired", at("spec.replicas", 0), describes="spec.replicas", type="integer"),
        Column("Current", at("status.replicas", 0), describes="status.replicas", type="integer"),
        Column("Ready", at("status.readyReplicas", 0), describes="status.readyReplicas", type="integer"),
        AGE,
        *TEMPLATE,
    ),
    field_labels=("status.replicas",),
    storage_version_hash="P1RzHs8/mWQ=",
)
