"""Secret: configuration that must not be shown.

Upstream: pkg/registry/core/secret/strategy.go
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import data, warnings


class SecretStrategy(Strategy):
    """What is written to stringData is read from data."""

    faults = staticmethod(data.secret)

    def default(self, obj: dict) -> None:
        for key, text in obj.pop("stringData", {}).items():
            obj.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return [*data.same_type(obj, old), *data.kept_if_immutable(obj, old), *data.secret(obj)]

    def warnings(self, obj: dict) -> list[str]:
        return warnings.secret(obj)


SECRETS = Resource(
    kind="Secret",
    plural="secrets",
    strategy=SecretStrategy(),
    columns=(
        NAME,
        Column("Type", at("type"), describes="type"),
        Column("Data", lambda obj, now: len(obj.get("data") or ()), describes="data"),
        AGE,
    ),
    field_labels=("type",),
)
