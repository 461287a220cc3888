"""What `kubectl get horizontalpodautoscalers` shows: each metric as "current/target".

Upstream: printHorizontalPodAutoscaler, formatHPAMetrics in pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME, NONE, UNKNOWN, at, dig
from labkit.glassbox.resources.resource import Column

SHOWN = 2  # metrics; how many more there are is told by number


def source_of(metric: dict) -> dict:
    """Return what a metric of type "Resource" holds under "resource"."""
    kind = metric.get("type", "")
    return metric.get(kind[:1].lower() + kind[1:]) or {}


def metric_text(spec: dict, status: dict) -> str:
    kind, wanted = spec.get("type"), source_of(spec).get("target") or {}
    now = source_of(status).get("current") or {}
    averaged = "averageValue" in wanted
    if kind in ("Resource", "ContainerResource"):
        name = source_of(spec).get("name", "")
        if averaged:
            return f"{name}: {now.get('averageValue', UNKNOWN)}/{wanted['averageValue']}"
        return f"{name}: {_percent(now, UNKNOWN)}/{_percent(wanted, '<auto>')}"
    if kind == "Pods" or averaged:
        text = f"{now.get('averageValue', UNKNOWN)}/{wanted.get('averageValue', '0')}"
        return text if kind == "Pods" else f"{text} (avg)"
    return f"{now.get('value', UNKNOWN)}/{wanted.get('value', '0')}" if source_of(spec) else "<unknown type>"


def _percent(value: dict, missing: str) -> str:
    return f"{value['averageUtilization']}%" if "averageUtilization" in value else missing


def targets(obj: dict, now: float) -> str:
    specs, statuses = dig(obj, "spec.metrics") or [], dig(obj, "status.currentMetrics") or []
    if not specs:
        return NONE
    statuses = [*statuses, *({} for _ in specs[len(statuses) :])]
    texts = [metric_text(spec, status) for spec, status in zip(specs, statuses, strict=False)]
    more = f" + {len(texts) - SHOWN} more..." if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more


def reference(obj: dict, now: float) -> str:
    return f"{dig(obj, 'spec.scaleTargetRef.kind', '')}/{dig(obj, 'spec.scaleTargetRef.name', '')}"


COLUMNS = (
    NAME,
    Column("Reference", reference, describes="spec.scaleTargetRef"),
    Column("Targets", targets, describes="spec.metrics"),
    Column("MinPods", lambda obj, now: str(dig(obj, "spec.minReplicas", "<unset>")), describes="spec.minReplicas"),
    Column("MaxPods", at("spec.maxReplicas", 0), describes="spec.maxReplicas"),
    Column("Replicas", at("status.currentReplicas", 0), describes="status.currentReplicas"),
    AGE,
)
