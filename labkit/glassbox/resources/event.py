"""Event: what happened to an object, for people to read.

Upstream: pkg/registry/core/event/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import event_columns
from labkit.glassbox.resources.resource import ALL_VERBS, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import events


class EventStrategy(Strategy):
    allow_create_on_update = True

    def faults(self, obj: dict) -> Iterable[Cause]:
        return events.about_own_namespace(obj, obj.get("involvedObject"))


class EventV1Strategy(EventStrategy):
    """The newer form, which is held to more."""

    def faults(self, obj: dict) -> Iterable[Cause]:
        return events.event_v1(obj)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return events.same_event_v1(obj, old)


EVENTS = Resource(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    singular="event",
    namespaced=True,
    definition="io.k8s.api.core.v1.Event",
    strategy=EventStrategy(),
    verbs=ALL_VERBS,
    short_names=("ev",),
    categories=(),
    subresources=(),
    columns=event_columns.COLUMNS,
    field_labels=(
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    storage_version_hash="r2yiGXH7wu8=",
)


EVENTS_V1 = replace(
    EVENTS,
    group="events.k8s.io",
    definition="io.k8s.api.events.v1.Event",
    strategy=EventV1Strategy(),
    stored_as=("", "v1", "events"),
)
