"""Service: one stable address for many pods.

Upstream: pkg/registry/core/service/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources import service_columns
from labkit.glassbox.resources.resource import ALL_VERBS, Resource
from labkit.glassbox.resources.strategy import Strategy


class ServiceStrategy(Strategy):
    has_status = True
    allow_create_on_update = True
    empty_status = {"loadBalancer": {}}


SERVICES = Resource(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    singular="service",
    namespaced=True,
    definition="io.k8s.api.core.v1.Service",
    strategy=ServiceStrategy(),
    verbs=ALL_VERBS,
    short_names=("svc",),
    categories=("all",),
    subresources=("status",),
    columns=service_columns.COLUMNS,
    field_labels=("spec.clusterIP", "spec.type"),
    storage_version_hash="0/CO1lhkEBI=",
)
