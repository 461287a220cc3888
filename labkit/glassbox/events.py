"""Events: what a component tells people about an object, in upstream's words.

The same thing said again is one Event with a higher count. Recording never raises into its caller and never makes it
wait: a thread of its own writes, and tries again while the API server is away.

Left out: the spam filter, and the series that events of the same reason and different messages are combined into.

Upstream: staging/src/k8s.io/client-go/tools/record
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict

from labkit.glassbox import clock, objects
from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError

log = logging.getLogger(__name__)

REMEMBERED = 4096  # events that a repetition is recognised of
WAITING = 1000  # events that may wait to be written; more are dropped
TRIES, PAUSE = 12, 0.5  # how often an event is offered to an API server that is away, seconds between


class EventRecorder:
    """Writes Events as one component, on one host if it has one."""

    def __init__(self, client: Client, component: str, host: str = ""):
        self.client, self.component, self.host = client, component, host
        self.queue: queue.Queue[dict] = queue.Queue(WAITING)
        self.seen: OrderedDict[tuple, dict] = OrderedDict()
        self.lock, self.is_writing = threading.Lock(), False

    def event(self, obj: dict, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Say something about an object; type is Normal or Warning."""
        now = clock.rfc3339(time.time())
        event = event_of(obj, type, reason, message, now, self.component, self.host, field_path)
        try:
            self.queue.put_nowait(event)
            self._start_writing()
        except queue.Full:
            log.warning("too many events: %s of %s is not told", reason, objects.key(obj))

    def _start_writing(self) -> None:
        """Start the thread that writes with the first event: most recorders of an idle cluster never have one."""
        with self.lock:
            if not self.is_writing:
                threading.Thread(target=self._write, name="events", daemon=True).start()
            self.is_writing = True

    def _write(self) -> None:
        while True:
            try:
                self._offer(self.queue.get())
            except ApiError as error:
                # An event in a namespace that goes away is nobody's loss.
                gone = error.code == 404 or "is being terminated" in error.message
                log.log(logging.DEBUG if gone else logging.INFO, "event: %s", error.message)
            except Exception:
                log.exception("event")

    def _offer(self, event: dict) -> None:
        for _ in range(TRIES - 1):
            try:
                return self._record(event)
            except ApiError as error:
                if error.code != 503:
                    raise
            threading.Event().wait(PAUSE)
        return self._record(event)

    def _record(self, event: dict) -> None:
        key = sameness(event)
        if earlier := self.seen.get(key):
            try:
                self.seen[key] = self._repeat(earlier, event["lastTimestamp"])
                return
            except ApiError as error:
                if error.code != 404:  # it expired: say it anew
                    raise
        self.seen[key] = self.client.create("events", event)
        self.seen.move_to_end(key)
        if len(self.seen) > REMEMBERED:
            self.seen.popitem(last=False)

    def _repeat(self, earlier: dict, now: str) -> dict:
        patch = {"count": earlier["count"] + 1, "lastTimestamp": now}
        return self.client.patch("events", objects.name(earlier), objects.namespace(earlier), patch)


def event_of(
    obj: dict, type: str, reason: str, message: str, now: str, component: str, host: str = "", field_path: str = ""
) -> dict:
    """Return the Event object (core/v1) that says this."""
    involved = {
        "kind": obj["kind"],
        "apiVersion": obj["apiVersion"],
        "name": objects.name(obj),
        "namespace": objects.namespace(obj),
        "uid": objects.uid(obj),
        "resourceVersion": obj["metadata"].get("resourceVersion", ""),
        "fieldPath": field_path,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{objects.name(obj)}.{time.time_ns():x}",
            "namespace": objects.namespace(obj) or "default",
        },
        "involvedObject": {key: value for key, value in involved.items() if value},
        "type": type,
        "reason": reason,
        "message": message,
        "source": {"component": component, **({"host": host} if host else {})},
        "reportingComponent": component,
        "reportingInstance": host,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def sameness(event: dict) -> tuple:
    """Return what makes two events one said twice."""
    involved = event["involvedObject"]
    return (
        involved.get("uid"),
        involved.get("fieldPath"),
        event["type"],
        event["reason"],
        event["message"],
        event["source"]["component"],
    )
