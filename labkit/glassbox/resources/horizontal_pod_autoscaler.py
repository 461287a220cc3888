"""HorizontalPodAutoscaler: so many replicas as the load wants. autoscaling/v2 is stored; v1 shows the same objects.

Upstream: pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go
"""

from __future__ import annotations

from dataclasses import replace

from labkit.glassbox.resources import hpa_columns, hpa_v1
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import autoscalers


class HorizontalPodAutoscalerStrategy(Strategy):
    has_status = True
    empty_status = {"desiredReplicas": 0, "currentMetrics": None}
    faults = staticmethod(autoscalers.autoscaler)


class HorizontalPodAutoscalerV1Strategy(HorizontalPodAutoscalerStrategy):
    empty_status = {"currentReplicas": 0, "desiredReplicas": 0}
    faults = staticmethod(lambda obj: autoscalers.autoscaler(hpa_v1.to_v2(obj)))


HORIZONTAL_POD_AUTOSCALERS = Resource(
    group="autoscaling",
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    strategy=HorizontalPodAutoscalerStrategy(),
    short_names=("hpa",),
    categories=("all",),
    subresources=("status",),
    columns=hpa_columns.COLUMNS,
)
HORIZONTAL_POD_AUTOSCALERS_V1 = replace(
    HORIZONTAL_POD_AUTOSCALERS,
    version="v1",
    definition="io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    strategy=HorizontalPodAutoscalerV1Strategy(),
    stored_as=("autoscaling", "v2", "horizontalpodautoscalers"),
    to_stored=hpa_v1.to_v2,
    from_stored=hpa_v1.from_v2,
)
