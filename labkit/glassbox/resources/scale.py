"""Scale: how many replicas of a workload there are to be, and are; a door beside the workload, which nobody stores.

Upstream: pkg/apis/autoscaling/types.go, printScale in pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME, at, number
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy

SCALE = Resource(
    group="autoscaling",
    kind="Scale",
    plural="scale",
    strategy=Strategy(),
    columns=(
        Column("Name", at("metadata.name"), describes=NAME.describes),
        number("Desired", "spec.replicas"),
        number("Available", "status.replicas"),
        AGE,
    ),
)
