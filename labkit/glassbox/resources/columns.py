"""What the columns of several kinds share: a name, an age, the containers of a template, a selector in words.

Upstream: pkg/printers/internalversion/printers.go, staging/src/k8s.io/apimachinery/pkg/util/duration/duration.go
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.glassbox import clock
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.resource import Column

NONE, UNKNOWN = "<none>", "<unknown>"
OPERATORS = {"In": "in", "NotIn": "notin"}


def human_duration(seconds: float) -> str:
    """Return a duration in two or three significant digits: "119s", "3m5s", "5h12m", "2d3h", "3y20d"."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 120:
        return f"{max(whole, 0)}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return _two(hours // 24, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    if hours < 24 * 365 * 8:
        return _two(hours // 24 // 365, "y", hours // 24 % 365, "d")
    return f"{hours // 24 // 365}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def since(timestamp: str | None, now: float) -> str:
    """Return how long ago an API timestamp was."""
    return human_duration(now - clock.parse(timestamp)) if timestamp else UNKNOWN


def at(path: str, default: Any = "") -> Callable[[dict, float], Any]:
    """Return a cell function that reads one field."""
    return lambda obj, now: dig(obj, path, default)


def format_labels(labels: dict | None) -> str:
    """Return "a=b,c=d", sorted, or "<none>"."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def format_selector(selector: dict | None) -> str:
    """Return a LabelSelector as one would type it; "<none>" when it selects everything."""
    selector = selector or {}
    terms = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or []:
        key, operator = each["key"], each["operator"]
        if operator in OPERATORS:
            terms.append((key, f"{key} {OPERATORS[operator]} ({','.join(sorted(each.get('values') or []))})"))
        else:
            terms.append((key, key if operator == "Exists" else f"!{key}"))
    return ",".join(text for _, text in sorted(terms)) or NONE


def containers_of(field: str, template: str) -> Callable[[dict, float], str]:
    """Return a cell function that lists a field of each container of a pod template."""
    return lambda obj, now: ",".join(each.get(field, "") for each in dig(obj, f"{template}.spec.containers") or [])


def number(name: str, path: str, description: str = "") -> Column:
    """Return a column of a whole number, 0 where the field is missing."""
    return Column(name, at(path, 0), describes=path, description=description, type="integer")


def of_template(path: str = "spec.template", priority: int = 1) -> tuple[Column, Column]:
    """Return the columns that tell a pod template's containers."""
    names, images = "Names of each container in the template.", "Images referenced by each container in the template."
    return (
        Column("Containers", containers_of("name", path), description=names, priority=priority),
        Column("Images", containers_of("image", path), description=images, priority=priority),
    )


def of_selector(path: str = "spec.selector", form: Callable[[dict | None], str] = format_selector) -> Column:
    return Column("Selector", lambda obj, now: form(dig(obj, path)), describes=path, priority=1)


NAME = Column("Name", at("metadata.name"), describes="metadata.name", format="name")
AGE = Column(
    "Age", lambda obj, now: since(obj["metadata"].get("creationTimestamp"), now), describes="metadata.creationTimestamp"
)
CREATED = Column("Created At", at("metadata.creationTimestamp"), describes="metadata.creationTimestamp", type="date")
PLAIN = (NAME, CREATED)  # of kinds for which upstream has no printer
READY = Column(
    "Ready",
    lambda obj, now: f"{dig(obj, 'status.readyReplicas', 0)}/{dig(obj, 'spec.replicas', 0)}",
    description="Number of the pod with ready state",
)
TEMPLATE = (*of_template(), of_selector())
REPLICAS = (
    number("Desired", "spec.replicas"),
    number("Current", "status.replicas"),
    number("Ready", "status.readyReplicas"),
)
