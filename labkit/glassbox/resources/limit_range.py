"""LimitRange: what one container, pod or claim of a namespace may ask for, and what it gets if it does not say.

Upstream: pkg/registry/core/limitrange/strategy.go, SetDefaults_LimitRangeItem in pkg/apis/core/v1/defaults.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import PLAIN
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import limits


class LimitRangeStrategy(Strategy):
    allow_create_on_update = True
    metadata_looks = 3
    faults = staticmethod(limits.limit_range)

    def default(self, obj: dict) -> None:
        spec = obj.setdefault("spec", {})
        spec["limits"] = spec.get("limits") or None
        for each in spec["limits"] or ():
            if each.get("type") == "Container":
                complete(each)


def complete(limit: dict) -> None:
    """Fill in what a container gets: the most as its limit, its limit or else the least as its request."""
    default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
    request = {**(limit.get("min") or {}), **default, **(limit.get("defaultRequest") or {})}
    limit.update({field: value for field, value in (("default", default), ("defaultRequest", request)) if value})


LIMIT_RANGES = Resource(
    kind="LimitRange",
    plural="limitranges",
    strategy=LimitRangeStrategy(),
    short_names=("limits",),
    columns=PLAIN,
)
