"""ResourceQuota: what all objects of a namespace together may be and ask for.

Upstream: pkg/registry/core/resourcequota/strategy.go, printResourceQuota in pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, dig
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import quotas
from labkit.glassbox.resources.validation.fields import IMMUTABLE, invalid


class ResourceQuotaStrategy(Strategy):
    has_status = True
    metadata_looks = 3
    faults = staticmethod(quotas.resource_quota)

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from super().change_faults(obj, old)
        new, before = (dig(each, "spec.scopes") for each in (obj, old))
        if set(new or ()) != set(before or ()):
            yield invalid("spec.scopes", new, IMMUTABLE)

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(quotas.status(obj.get("status") or {}))


def used(limits: bool) -> Callable[[dict, float], str]:
    """Return a cell function that lists "name: used/hard" of the limits, or of all else."""

    def cell(quota: dict, now: float) -> str:
        hard, held = dig(quota, "status.hard") or {}, dig(quota, "status.used") or {}
        names = [name for name in sorted(hard) if name.startswith("limits.") == limits]
        return ", ".join(f"{name}: {held.get(name, '0')}/{hard[name]}" for name in names)

    return cell


RESOURCE_QUOTAS = Resource(
    kind="ResourceQuota",
    plural="resourcequotas",
    strategy=ResourceQuotaStrategy(),
    short_names=("quota",),
    subresources=("status",),
    columns=(
        NAME,
        Column(
            "Request",
            used(limits=False),
            description="Request represents a minimum amount of cpu/memory that a container may consume.",
        ),
        Column(
            "Limit",
            used(limits=True),
            description="Limits control the maximum amount of cpu/memory that a container may use independent of "
            "contention on the node.",
        ),
        AGE,
    ),
)
