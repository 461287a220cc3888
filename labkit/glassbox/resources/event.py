"""Event: what happened to an object, for people to read.

Upstream: pkg/registry/core/event/strategy.go, pkg/apis/events/v1/conversion.go
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import event_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import events


class EventStrategy(Strategy):
    allow_create_on_update = True
    faults = staticmethod(events.event)


class EventV1Strategy(EventStrategy):
    """The newer form, which is held to more."""

    def faults(self, obj: dict) -> Iterator[Cause]:
        return events.event_v1(to_core(obj))

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return events.same_event_v1(to_core(obj), to_core(old))


PARTS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")  # of a reference
EVENTS = Resource(
    kind="Event",
    plural="events",
    strategy=EventStrategy(),
    short_names=("ev",),
    columns=event_columns.COLUMNS,
    field_labels=(
        *(f"involvedObject.{part}" for part in PARTS),
        *("reason", "reportingComponent", "source", "type"),
    ),
)

# core/v1 Event → events.k8s.io/v1 Event
RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
BACK = {new: old for old, new in RENAMED.items()}


def to_core(event: dict) -> dict:
    renamed = {BACK.get(field, field): value for field, value in event.items()}
    return {"reportingComponent": "", "reportingInstance": "", **renamed}


def from_core(event: dict) -> dict:
    renamed = {RENAMED.get(field, field): value for field, value in event.items()}
    for field in ("reportingController", "reportingInstance"):  # left out when empty in this version alone
        if renamed.get(field) == "":
            del renamed[field]
    return renamed


EVENTS_V1 = replace(
    EVENTS,
    group="events.k8s.io",
    definition="io.k8s.api.events.v1.Event",
    strategy=EventV1Strategy(),
    field_labels=(*(f"regarding.{part}" for part in PARTS), "reason", "reportingController", "type"),
    stored_as=("", "v1", "events"),
    to_stored=to_core,
    from_stored=from_core,
)
