"""What events must satisfy: little in core/v1, which old recorders write; much in events.k8s.io/v1.

Events are looked at in their core form, whichever they were sent in: its paths are those that upstream tells.

Upstream: pkg/apis/core/validation/events.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import invalid, required
from labkit.glassbox.resources.validation.internal_struct import unchanged

NOTE_LIMIT = 1024  # characters
# What never changes, and the struct that it is, if any; upstream looks at the reason twice.
FIXED = (
    *(("involvedObject", "ObjectReference"), ("reason", ""), ("message", ""), ("source", "EventSource")),
    *(("firstTimestamp", ""), ("lastTimestamp", ""), ("count", ""), ("reason", ""), ("type", ""), ("eventTime", "")),
    *(("action", ""), ("related", "ObjectReference"), ("reportingComponent", ""), ("reportingInstance", "")),
)
REPORTER = "reportingController"  # as all but core/v1 calls it
DEPRECATED = ("firstTimestamp", "lastTimestamp", "count", "source")


def event(given: dict) -> Iterator[Cause]:
    """Check an event that any version takes: those of objects without a namespace lie in default."""
    own, theirs = given["metadata"].get("namespace", ""), (given.get("involvedObject") or {}).get("namespace", "")
    told = invalid("involvedObject.namespace", theirs, "does not match event.namespace")
    if given.get("eventTime"):
        yield from [told] if not theirs and own not in ("default", "kube-system") else []
        yield from _reporter(given)
    elif (theirs and theirs != own) or (not theirs and own not in ("", "default")):
        yield told


def event_v1(given: dict) -> Iterator[Cause]:
    """Check a new events.k8s.io/v1 event."""
    yield from event(given)
    yield from _series(given)
    if not given.get("eventTime"):
        yield required("eventTime")
    if given.get("type") not in ("Normal", "Warning"):
        yield invalid("type", "", f"has invalid value: {given.get('type', '')}")
    yield from (invalid(field, "", "needs to be unset") for field in DEPRECATED if given.get(field))


def _series(given: dict) -> Iterator[Cause]:
    if (series := given.get("series")) is not None:
        if series.get("count", 0) < 2:
            yield invalid("series.count", "", "should be at least 2")
        if not series.get("lastObservedTime"):
            yield required("series.lastObservedTime")


def _reporter(given: dict) -> Iterator[Cause]:
    yield from names.needed(names.qualified_name, REPORTER, given.get("reportingComponent", ""))
    for field in ("reportingInstance", "action", "reason"):
        if not given.get(field):
            yield required(field)
        elif len(given[field]) > 128:
            yield invalid(field, "", "can have at most 128 characters")
    if len(given.get("message", "")) > NOTE_LIMIT:
        yield invalid("message", "", f"can have at most {NOTE_LIMIT} characters")


def same_event_v1(given: dict, old: dict) -> Iterator[Cause]:
    """Refuse to change what happened; only how often may change."""
    yield from event(given)
    if given.get("series") != old.get("series"):
        yield from _series(given)
    for field, kind in FIXED:
        path = REPORTER if field == "reportingComponent" else field
        yield from unchanged(path, given.get(field), old.get(field), kind)
