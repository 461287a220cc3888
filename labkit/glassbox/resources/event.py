"""Event: what happened to an object, for people to read.

Upstream: pkg/registry/core/event/strategy.go
"""

from __future__ import annotations

from dataclasses import replace

from labkit.glassbox.resources import event_columns
from labkit.glassbox.resources.resource import ALL_VERBS, Resource
from labkit.glassbox.resources.strategy import Strategy


class EventStrategy(Strategy):
    allow_create_on_update = True


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
    stored_as=("", "v1", "events"),
)
