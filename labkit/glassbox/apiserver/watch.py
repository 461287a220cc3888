"""watch: every change after a revision, then every new one as it happens, as a stream of JSON lines.

A watch subscribes before it reads history, so nothing falls between; the store calls its listener inside append, which
only puts the change aside and wakes the stream. Lines are spliced from the stored bytes.

A selector turns changes into others: an object that stops matching is DELETED for this client, as it last saw it; one
that starts is ADDED.
WatchList (sendInitialEvents) sends what is there as ADDED, then a bookmark annotated `k8s.io/initial-events-end`.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/watch.go, …/storage/etcd3/watcher.go
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import orjson

from labkit.glassbox import errors, selectors
from labkit.glassbox.apiserver import schema
from labkit.glassbox.apiserver.negotiation import JSON, Wanted, as_table, negotiate, not_watchable, partial_metadata
from labkit.glassbox.apiserver.objects_at_rest import as_served, needs_conversion, prefix, stored
from labkit.glassbox.apiserver.reads import check_list_options, choice, integer, revision_fault, too_large
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.apiserver.routes import flag
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.store import Change, Compacted

BOOKMARK_SECONDS, LAST_BOOKMARK_SECONDS = 60.0, 2.0  # between two, and of the last before the end
MIN_TIMEOUT_SECONDS = 1800  # without timeoutSeconds a watch ends after 30 to 60 minutes, as upstream's
BACKLOG = 10_000  # changes; a client that is so far behind has to start again
OPEN: WeakSet[Any] = WeakSet()  # watches of custom resources
END_OF_INITIAL_EVENTS = {"k8s.io/initial-events-end": "true"}


class Watch:
    """One client's watch. Building it checks the request; `lines` runs it. Raises ApiError 400, 406, 422."""

    def __init__(self, request: Request, api: Api):
        check_list_options(request.query, watching=True)
        self.request, self.api, self.store = request, api, api.store
        self.chosen = choice(request)
        if request.route.name:  # the old path /api/v1/watch/…/NAME
            fields = selectors.FieldSelector((("metadata.name", "=", request.route.name),))
            self.chosen = replace(self.chosen, fields=fields)
        self.wanted: Wanted = negotiate(request.accept)
        if self.wanted.media != JSON:
            raise not_watchable()
        self.resource = request.resource
        self.within = prefix(stored(self.resource), request.route.namespace)
        self.bookmarks = flag(request.query, "allowWatchBookmarks")
        self.initial = flag(request.query, "sendInitialEvents")
        asked = request.query.get("resourceVersion", "")
        self.since = self._revision(asked)
        self.whole = self.initial or (self.since == 0 and request.query.get("sendInitialEvents") is None)
        self.timeout = self._timeout()
        self.columns_sent = False
        self.pending: deque[Change] = deque()
        self.wake = asyncio.Event()
        self.overrun = self.outdated = False

    def _revision(self, asked: str) -> int:
        if not asked:
            return 0
        if fault := revision_fault(asked):
            raise ApiError(500, "", f'resourceVersion: Invalid value: "{asked}": {fault}')
        return int(asked)

    def _timeout(self) -> float:
        asked = integer(self.request.query.get("timeoutSeconds", "0"))
        return float(asked) if asked > 0 else MIN_TIMEOUT_SECONDS * (1 + random.random())

    async def lines(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write the stream until it times out or the client is lost."""
        unsubscribe = self.store.subscribe(self.within, self._put_aside)
        try:
            if self.resource.custom:
                OPEN.add(self)
            async with asyncio.timeout(self.timeout):
                await write(self._beginning())
                await self._follow(write)
        except TimeoutError:
            pass
        except ApiError as error:
            await write(self._error(error))
        finally:
            unsubscribe()

    def _put_aside(self, change: Change) -> None:
        if len(self.pending) >= BACKLOG:
            self.overrun = True
        else:
            self.pending.append(change)
        self.wake.set()

    async def _follow(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        now = asyncio.get_running_loop().time
        end = now() + self.timeout
        due = self._next_bookmark(now(), end)
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self.wake.wait()
            except TimeoutError:
                await write(self._bookmark({}))
                due = self._next_bookmark(now(), end)
                continue
            self.wake.clear()
            changes = [self.pending.popleft() for _ in range(len(self.pending))]
            if lines := b"".join(self._line(change) for change in changes):
                await write(lines)
            if self.outdated:
                return
            if self.overrun:
                raise errors.expired("too old resource version: the client fell behind")

    def _next_bookmark(self, now: float, end: float) -> float | None:
        """Return when to tell how far the store has come: now and then, and last shortly before the end."""
        due = min(now + BOOKMARK_SECONDS, end - LAST_BOOKMARK_SECONDS)
        return due if self.bookmarks and due > now else None

    def _beginning(self) -> bytes:
        """Return what happened, or is there, before now. Raises ApiError 410 or 504 (as an ERROR event)."""
        if self.since > self.store.revision and self.initial:
            raise too_large(self.since, self.store.revision)
        if self.whole:
            return self._present() + (self._bookmark(END_OF_INITIAL_EVENTS) if self.initial and self.bookmarks else b"")
        if not self.since or self.since >= self.store.revision:
            return b""
        try:
            changes = self.store.history(self.within, self.since)
        except Compacted:
            oldest = self.store.compacted
            raise errors.expired(f"too old resource version: {self.since} ({oldest})") from None
        return b"".join(self._line(change) for change in changes)

    def _present(self) -> bytes:
        rows, _ = self.store.rows(self.within)
        if self.chosen.everything:
            return b"".join(self._event("ADDED", row.value, row.revision) for row in rows)
        return b"".join(self._event("ADDED", row.value, row.revision) for row in rows if self._matches(row.value))

    def _matches(self, value: bytes | None) -> bool:
        return value is not None and (self.chosen.everything or self.chosen.matches(orjson.loads(value)))

    def _line(self, change: Change) -> bytes:
        """Return the event that this change is for this client, b"" if it is none."""
        row = change.row
        if row.revision <= self.since:  # asked to begin in the future
            return b""
        before = self._matches(change.before)
        after = not row.deleted and self._matches(row.value)
        if before and not after:
            return self._event("DELETED", row.value if row.deleted else _last_seen(change), row.revision)
        if not after:
            return b""
        return self._event("MODIFIED" if before else "ADDED", row.value, row.revision)

    def _event(self, kind: str, value: bytes, revision: int) -> bytes:
        if self.wanted.kind == "PartialObjectMetadataList":
            return b""  # no event is a list; upstream's stream stays empty
        if self.wanted.plain and not needs_conversion(self.resource, revision):
            return b'{"type":"' + kind.encode() + b'","object":' + value + b"}\n"
        return orjson.dumps({"type": kind, "object": self._shown(orjson.loads(value))}) + b"\n"

    def _shown(self, stored_obj: dict) -> dict:
        obj = as_served(self.resource, stored_obj)
        if self.wanted.kind == "PartialObjectMetadata":
            return partial_metadata(obj, f"meta.k8s.io/{self.wanted.version}")
        if self.wanted.kind != "Table":
            return obj
        table = as_table(self.request, obj, False, self.api.clock.now(), self.wanted.version)
        if self.columns_sent:
            table["columnDefinitions"] = None
        self.columns_sent = True
        return table

    def _bookmark(self, annotations: dict) -> bytes:
        meta: dict[str, Any] = {"resourceVersion": str(self.store.revision)}
        if annotations:
            meta["annotations"] = annotations
        obj: dict[str, Any] = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": meta}
        obj |= EMPTY_PARTS.get(self.resource.kind, {})
        if self.resource.kind == "Event":
            schema.apply_defaults(self.resource, obj)
        if self.wanted.kind == "PartialObjectMetadata":
            obj = partial_metadata(obj)
        elif self.wanted.kind == "Table":
            meta["name"] = ""  # a row needs one
            obj = self._shown(obj)
            meta.pop("name")
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"

    def _error(self, error: ApiError) -> bytes:
        return orjson.dumps({"type": "ERROR", "object": error.status()}) + b"\n"


def end_outdated() -> None:
    """End the watches of custom resources that are served otherwise by now, or no more; clients begin anew."""
    for each in list(OPEN):
        resource = each.resource
        each.outdated = REGISTRY.at(resource.group, resource.version, resource.plural) is not resource
        if each.outdated:
            each.wake.set()


def _last_seen(change: Change) -> bytes:
    """Return the object as a client that loses sight of it knew it, at the revision of the loss."""
    obj = orjson.loads(change.before or b"")
    obj["metadata"]["resourceVersion"] = str(change.row.revision)
    return orjson.dumps(obj)


# Go writes structs that have no omitempty even when empty.
_TEMPLATE = {"metadata": {}, "spec": {"containers": None}}
EMPTY_PARTS: dict[str, dict] = {
    "Pod": {"spec": {"containers": None}, "status": {}},
    "Namespace": {"spec": {}, "status": {}},
    "Deployment": {"spec": {"selector": None, "template": _TEMPLATE, "strategy": {}}, "status": {}},
    "ReplicaSet": {"spec": {"selector": None}, "status": {"replicas": 0}},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "Lease": {"spec": {}},
    "CustomResourceDefinition": {
        "spec": {"group": "", "names": {"plural": "", "kind": ""}, "scope": "", "versions": None},
        "status": {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": None},
    },
}
