"""A local copy of one resource that follows the API: list once, then watch from there.

Everything that a component knows of the cluster it knows from informers; it reads the copy and never the wire. The
copy may be behind, never wrong: an object in it was once current. What a component does must be right also when it
looks at something old (the API refuses a stale write with 409).

Invariants: on_event is called after the copy has changed, by one thread, in the order of the resource's versions. Each
handler hears of each change, also when another one raises. A watch that breaks is resumed where it stopped; one that is
too old (410) starts over with a list: what vanished meanwhile is told as DELETED, and so is what was replaced by
another object of the same name, before that one is told as ADDED. An object in the copy is replaced, never changed, and
never missing for a moment.

Upstream: staging/src/k8s.io/client-go/tools/cache/reflector.go, …/shared_informer.go
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from labkit.glassbox import objects
from labkit.glassbox.client import Client, Watch
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import REGISTRY

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.4  # seconds between attempts while the API server is away
OnEvent = Callable[[str, dict], Any]


class Informer:
    """The copy of a resource, in all namespaces or one, of all objects or those that a field selector picks.

    on_event(type, object) hears of ADDED, MODIFIED and DELETED.
    """

    def __init__(
        self,
        client: Client,
        resource: str,
        *,
        namespace: str | None = None,
        field_selector: str = "",
        on_event: OnEvent | None = None,
    ):
        self.client, self.resource, self.namespace = client, resource, namespace
        self.field_selector = field_selector
        self.handlers: list[OnEvent] = [on_event] if on_event is not None else []
        self.lock = threading.Lock()
        self.objects: dict[str, dict] = {}
        self.by_owner: dict[str, set[str]] = {}
        self.by_namespace: dict[str, set[str]] = {}
        self.version = ""
        self.synced, self.stopping = threading.Event(), threading.Event()
        self.current: Watch | None = None

    # -- reading the copy

    def get(self, key: str) -> dict | None:
        """Return the object with that key ("namespace/name"), or None. It must not be changed."""
        return self.objects.get(key)

    def list(self, namespace: str | None = None) -> list[dict]:
        """Return the objects, of one namespace if given. They must not be changed."""
        with self.lock:
            if namespace is None:
                return list(self.objects.values())
            return [self.objects[key] for key in self.by_namespace.get(namespace, ())]

    def owned_by(self, uid: str) -> Sequence[dict]:
        """Return the objects that name this UID among their owners."""
        with self.lock:
            return [self.objects[key] for key in self.by_owner.get(uid, ())]

    def wait_for_sync(self, timeout: float | None = None) -> bool:
        """Wait until the first list is in; tell whether it is."""
        return self.synced.wait(timeout)

    # -- following

    def start(self) -> None:
        """Follow the resource in a thread of its own."""
        threading.Thread(target=self._run, name=f"informer {self.resource}", daemon=True).start()

    def stop(self) -> None:
        self.stopping.set()
        if self.current:
            self.current.stop()

    def end(self) -> None:
        """Stop for good, since the kind is no longer served: what is in the copy has gone with it."""
        self.stop()
        for obj in self.list():
            self._apply("DELETED", obj)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            try:
                self._follow()
                pause = FIRST_PAUSE  # the server ends a watch now and then
            except ApiError as error:
                if error.code == 410:
                    self.version = ""
                log.info("%s: %s", self.resource, error.message)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception:
                log.exception("%s: the informer goes on with a list", self.resource)
                self.version = ""
                pause = LONGEST_PAUSE
            self.stopping.wait(pause)

    def _follow(self) -> None:
        if not self.version:
            self._list()
        self.current = self.client.watch(
            self.resource, self.namespace, resource_version=self.version, field_selector=self.field_selector
        )
        if self.stopping.is_set():
            self.current.stop()
        for type, obj in self.current:
            if type != "BOOKMARK":
                self._apply(type, obj)
            self.version = obj["metadata"]["resourceVersion"]

    def _list(self) -> None:
        found = self.client.list(self.resource, self.namespace, field_selector=self.field_selector)
        fresh = {objects.key(obj): obj for obj in found["items"]}
        for key in [key for key in self.objects if key not in fresh]:
            self._apply("DELETED", self.objects[key])
        for key, obj in fresh.items():
            old = self.objects.get(key)
            if old is not None and objects.uid(old) != objects.uid(obj):
                self._apply("DELETED", old)
                old = None
            if old is None or old["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                self._apply("MODIFIED" if old else "ADDED", obj)
        self.version = found["metadata"]["resourceVersion"]
        self.synced.set()

    def _apply(self, type: str, obj: dict) -> None:
        obj["metadata"].pop("managedFields", None)  # half of a pod, and no concern of ours: a write without keeps it
        key = objects.key(obj)
        with self.lock:
            if old := self.objects.get(key):
                self._index(old, key, set.discard)
            if type == "DELETED":
                self.objects.pop(key, None)
            else:
                self.objects[key] = obj
                self._index(obj, key, set.add)
        for handler in self.handlers:
            try:
                handler(type, obj)
            except Exception:
                log.exception("%s: a handler failed on %s of %s", self.resource, type, key)

    def _index(self, obj: dict, key: str, change: Callable[[set[str], str], None]) -> None:
        owners = [(self.by_owner, owner["uid"]) for owner in objects.owners(obj)]
        for index, value in [(self.by_namespace, objects.namespace(obj)), *owners]:
            keys = index.setdefault(value, set())
            change(keys, key)
            if not keys:
                del index[value]


def inform(client: Client, *resources: str) -> dict[str, Informer]:
    """Return an informer a resource, by its plural."""
    return {REGISTRY.find(resource).plural: Informer(client, resource) for resource in resources}
