"""NodeMetrics and PodMetrics: what nodes and pods use now; computed when asked for, never stored.

Upstream: k8s.io/metrics pkg/apis/metrics/v1beta1/types.go, and the columns of metrics-server
"""

from __future__ import annotations

from decimal import Decimal

from labkit.glassbox import quantity
from labkit.glassbox.resources.columns import at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy

GROUP = "metrics.k8s.io"


def _used(resource: str):
    """Return a cell function: what the object uses of a resource, containers added up."""

    def cell(obj: dict, now: float) -> str:
        usages = [obj["usage"]] if "usage" in obj else [each["usage"] for each in obj["containers"]]
        total = sum((quantity.parse(each[resource]) for each in usages), Decimal(0))
        return quantity.canonical(f"{total * 10**9:.0f}n" if resource == "cpu" else f"{total // 1024}Ki")

    return cell


def _metrics(kind: str, plural: str, namespaced: bool) -> Resource:
    return Resource(
        group=GROUP,
        version="v1beta1",
        kind=kind,
        plural=plural,
        singular="",
        namespaced=namespaced,
        definition=f"io.k8s.metrics.pkg.apis.metrics.v1beta1.{kind}",
        strategy=Strategy(),
        verbs=("get", "list"),
        columns=(
            Column("Name", at("metadata.name"), description="Of what it is measured", format="name"),
            Column("cpu", _used("cpu"), description="CPU used, in cores"),
            Column("memory", _used("memory"), description="Memory used, in bytes"),
            Column("Window", at("window"), description="Over how long the CPU was measured"),
        ),
    )


NODE_METRICS = _metrics("NodeMetrics", "nodes", namespaced=False)
POD_METRICS = _metrics("PodMetrics", "pods", namespaced=True)
