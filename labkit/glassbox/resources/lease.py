"""Lease: a heartbeat or a lock with a term.

Upstream: pkg/registry/coordination/lease/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation.fields import invalid, not_negative


class LeaseStrategy(Strategy):
    allow_create_on_update = True
    allow_unconditional_update = False  # a lock that anybody overwrites is none

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        drop_disabled(obj)

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        drop_disabled(obj)
        super().prepare_for_update(obj, old)

    def faults(self, obj: dict) -> Iterator[Cause]:
        spec = obj.get("spec") or {}
        if spec.get("leaseDurationSeconds", 1) <= 0:
            yield invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
        yield from not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))


def drop_disabled(obj: dict) -> None:
    """Drop what belongs to a feature that is off by default: CoordinatedLeaderElection is, in 1.36."""
    for field in ("strategy", "preferredHolder"):
        (obj.get("spec") or {}).pop(field, None)


LEASES = Resource(
    group="coordination.k8s.io",
    kind="Lease",
    plural="leases",
    strategy=LeaseStrategy(),
    columns=(NAME, Column("Holder", at("spec.holderIdentity"), describes="spec.holderIdentity"), AGE),
)
