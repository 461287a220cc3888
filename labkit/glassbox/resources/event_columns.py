"""What `kubectl get events` shows, of either kind of recorder: counted events and series.

Upstream: printEvent in pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import NAME, UNKNOWN, at, dig, since
from labkit.glassbox.resources.resource import Column


def first_seen(event: dict, now: float) -> str:
    return since(event.get("firstTimestamp") or event.get("eventTime"), now)


def last_seen(event: dict, now: float) -> str:
    if event.get("series"):
        return since(event["series"].get("lastObservedTime"), now)
    last = since(event.get("lastTimestamp"), now)
    return last if last != UNKNOWN else first_seen(event, now)


def count(event: dict, now: float) -> int:
    return dig(event, "series.count") or event.get("count") or 1


def target(event: dict, now: float) -> str:
    involved = event.get("involvedObject") or {}
    kind, name = involved.get("kind", "").lower(), involved.get("name")
    return f"{kind}/{name}" if name else kind


def source(event: dict, now: float) -> str:
    component = dig(event, "source.component", "") or event.get("reportingComponent", "")
    host = dig(event, "source.host", "") or event.get("reportingInstance", "")
    return f"{component}, {host}" if host else component


COLUMNS = (
    Column("Last Seen", last_seen, describes="lastTimestamp"),
    Column("Type", at("type"), describes="type"),
    Column("Reason", at("reason"), describes="reason"),
    Column("Object", target, describes="involvedObject"),
    Column("Subobject", at("involvedObject.fieldPath"), describes="involvedObject.fieldPath", priority=1),
    Column("Source", source, describes="source", priority=1),
    Column("Message", lambda event, now: event.get("message", "").strip(), describes="message"),
    Column("First Seen", first_seen, describes="firstTimestamp", priority=1),
    Column("Count", count, describes="count", priority=1),
    Column("Name", NAME.value, describes="metadata.name", format="name", priority=1),
)
