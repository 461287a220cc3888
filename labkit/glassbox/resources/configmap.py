"""ConfigMap: configuration that pods read.

Upstream: pkg/registry/core/configmap/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources.resource import ALL_VERBS, Resource
from labkit.glassbox.resources.strategy import Strategy


class ConfigMapStrategy(Strategy):
    pass


CONFIGMAPS = Resource(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    singular="configmap",
    namespaced=True,
    definition="io.k8s.api.core.v1.ConfigMap",
    strategy=ConfigMapStrategy(),
    verbs=ALL_VERBS,
    short_names=("cm",),
    categories=(),
    subresources=(),
    field_labels=(),
    storage_version_hash="qFsyl6wFWjQ=",
)
