"""ReplicationController: what ReplicaSets were called before they had set-based selectors.

Upstream: pkg/registry/core/replicationcontroller/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, REPLICAS, format_labels, of_selector, of_template
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import workloads


class ReplicationControllerStrategy(Strategy):
    has_status = True
    counts_generation = True
    empty_status = {"replicas": 0}
    orphans_by_default = True
    faults = staticmethod(workloads.replication_controller)
    pod_template = "spec.template"
    counted = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    names_pods = True

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return [*self.faults(obj)] * 2  # upstream looks twice

    def default(self, obj: dict) -> None:
        """A template's labels are the selector, and the labels of the controller itself, where those are not given."""
        spec = obj.setdefault("spec", {})
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if labels:
            spec.setdefault("selector", dict(labels))
            obj["metadata"].setdefault("labels", dict(labels))


REPLICATION_CONTROLLERS = Resource(
    kind="ReplicationController",
    plural="replicationcontrollers",
    strategy=ReplicationControllerStrategy(),
    short_names=("rc",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(
        NAME,
        *REPLICAS,
        AGE,
        *of_template(),
        of_selector(form=format_labels),
    ),
    field_labels=("status.replicas",),
)
