"""ReplicaSet: so many pods of one template.

Upstream: pkg/registry/core/replicaset/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources.resource import ALL_VERBS, Resource
from labkit.glassbox.resources.strategy import Strategy


class ReplicaSetStrategy(Strategy):
    has_status = True
    counts_generation = True
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
    field_labels=("status.replicas",),
    storage_version_hash="P1RzHs8/mWQ=",
)
