"""What PodDisruptionBudgets must satisfy.

Upstream: pkg/apis/policy/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation.fields import invalid, one_of
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.metadata import label_selector
from labkit.glassbox.resources.validation.workloads import amount


def budget(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        shown = struct("PodDisruptionBudgetSpec", spec)
        yield invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        if field in spec:
            yield from amount(spec[field], f"spec.{field}", at_most_all=True)
    yield from label_selector(spec.get("selector") or {}, "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    yield from one_of("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget"))
