"""What events must satisfy: little in core/v1, which old recorders write; much in events.k8s.io/v1.

Upstream: pkg/apis/core/validation/events.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import invalid, required, unchanged

NOTE_LIMIT = 1024  # characters
# Upstream looks at the reason twice.
FIXED = ("regarding", "related", "reason", "reportingController", "reportingInstance", "action", "reason", "type",
         "note")  # fmt: skip
DEPRECATED = {
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
    "deprecatedSource": "source",
}


def about_own_namespace(event: dict, involved: dict | None) -> Iterator[Cause]:
    """Refuse an event that lies elsewhere than its object; those of objects without a namespace lie in default."""
    own, theirs = event["metadata"].get("namespace", ""), (involved or {}).get("namespace", "")
    if (theirs and theirs != own) or (not theirs and own not in ("", "default")):
        yield invalid("involvedObject.namespace", theirs, "does not match event.namespace")


def event_v1(event: dict) -> Iterator[Cause]:
    """Check a new events.k8s.io/v1 event; paths are those of the core form, as upstream's are."""
    yield from about_own_namespace(event, event.get("regarding"))
    if not event.get("eventTime"):
        yield required("eventTime")
    else:
        yield from _reporter(event)
    if event.get("type") not in ("Normal", "Warning"):
        yield invalid("type", "", f"has invalid value: {event.get('type', '')}")
    for field, told in DEPRECATED.items():
        if event.get(field):
            yield invalid(told, "", "needs to be unset")
    if (series := event.get("series")) is not None:
        if series.get("count", 0) < 2:
            yield invalid("series.count", "", "should be at least 2")
        if not series.get("lastObservedTime"):
            yield required("series.lastObservedTime")


def _reporter(event: dict) -> Iterator[Cause]:
    if not event.get("reportingController"):
        yield required("reportingController")
    else:
        yield from names.check(names.qualified_name, "reportingController", event["reportingController"])
    for field in ("reportingInstance", "action", "reason"):
        if not event.get(field):
            yield required(field)
        elif len(event[field]) > 128:
            yield invalid(field, "", "can have at most 128 characters")
    if len(event.get("note", "")) > NOTE_LIMIT:
        yield invalid("message", "", f"can have at most {NOTE_LIMIT} characters")


def same_event_v1(event: dict, old: dict) -> Iterator[Cause]:
    """Refuse to change what happened; only how often may change."""
    for field in FIXED:
        yield from unchanged(field, event.get(field), old.get(field))
