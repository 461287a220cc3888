"""ReplicaSet: so many pods of one template.

Upstream: pkg/registry/apps/replicaset/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME, REPLICAS, TEMPLATE
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import workloads


class ReplicaSetStrategy(Strategy):
    has_status = True
    counts_generation = True
    faults = staticmethod(workloads.replicaset)
    immutable = ("spec.selector",)
    pod_template = "spec.template"
    counted = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")

    empty_status = {"replicas": 0}


REPLICASETS = Resource(
    group="apps",
    kind="ReplicaSet",
    plural="replicasets",
    strategy=ReplicaSetStrategy(),
    short_names=("rs",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(
        NAME,
        *REPLICAS,
        AGE,
        *TEMPLATE,
    ),
)
