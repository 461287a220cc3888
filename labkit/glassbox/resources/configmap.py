"""ConfigMap: configuration that pods read.

Upstream: pkg/registry/core/configmap/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import data


class ConfigMapStrategy(Strategy):
    faults = staticmethod(data.config_map)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return [*data.kept_if_immutable(obj, old), *data.config_map(obj)]


CONFIGMAPS = Resource(
    kind="ConfigMap",
    plural="configmaps",
    strategy=ConfigMapStrategy(),
    short_names=("cm",),
    columns=(
        NAME,
        Column(
            "Data", lambda obj, now: len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), describes="data"
        ),
        AGE,
    ),
)
