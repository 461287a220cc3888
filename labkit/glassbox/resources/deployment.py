"""Deployment: a template, rolled out revision by revision.

Upstream: pkg/registry/apps/deployment/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME, READY, TEMPLATE, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import workloads


class DeploymentStrategy(Strategy):
    has_status = True
    counts_generation = True
    metadata_looks = 3
    faults = staticmethod(workloads.deployment)
    immutable = ("spec.selector",)
    pod_template = "spec.template"
    counted = ("updatedReplicas", "readyReplicas", "availableReplicas")
    names_pods = True

    def changes_generation(self, obj: dict, old: dict) -> bool:
        """Annotations count: a rollout copies them to its replica set."""
        annotations, held = (each["metadata"].get("annotations") or {} for each in (obj, old))
        return super().changes_generation(obj, old) or annotations != held

    # A status write may set annotations: the controller notes the revision there, and the generation stays.
    status_resets = tuple(each for each in Strategy.status_resets if each != "annotations")


DEPLOYMENTS = Resource(
    group="apps",
    kind="Deployment",
    plural="deployments",
    strategy=DeploymentStrategy(),
    short_names=("deploy",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(
        NAME,
        READY,
        Column("Up-to-date", at("status.updatedReplicas", 0), describes="status.updatedReplicas"),
        Column("Available", at("status.availableReplicas", 0), describes="status.availableReplicas"),
        AGE,
        *TEMPLATE,
    ),
)
