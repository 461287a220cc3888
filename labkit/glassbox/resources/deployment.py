"""Deployment: a template, rolled out revision by revision.

Upstream: pkg/registry/core/deployment/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources.resource import ALL_VERBS, Resource
from labkit.glassbox.resources.strategy import Strategy


class DeploymentStrategy(Strategy):
    has_status = True
    counts_generation = True


DEPLOYMENTS = Resource(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    singular="deployment",
    namespaced=True,
    definition="io.k8s.api.apps.v1.Deployment",
    strategy=DeploymentStrategy(),
    verbs=ALL_VERBS,
    short_names=("deploy",),
    categories=("all",),
    subresources=("scale", "status"),
    field_labels=(),
    storage_version_hash="8aSe+NMegvE=",
)
