"""What every controller is: informers say that something changed, it looks at the key until the world is as it should.

    event → key → queue → reconcile(key)

An event only says *where to look*; what happened is forgotten (level-triggered), so that a missed event, a repeated one
and a restart all come to the same. reconcile() reads the copies, plans, writes through the API, and may raise whatever
it likes: then the key comes back later.

Upstream: pkg/controller/replicaset/replica_set.go (Run, worker, processNextWorkItem)
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from labkit.glassbox import objects
from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import Informer
from labkit.glassbox.workqueue import WorkQueue

log = logging.getLogger(__name__)

Keys = Callable[[dict], Iterable[str]]


def itself(obj: dict) -> list[str]:
    """The key of the object that changed."""
    return [objects.key(obj)]


def owner(kind: str) -> Keys:
    """The key of the controller of the object that changed, if it is of that kind."""

    def keys(obj: dict) -> list[str]:
        reference = objects.controller_of(obj)
        if reference is None or reference["kind"] != kind:
            return []
        return [f"{objects.namespace(obj)}/{reference['name']}"]

    return keys


class Controller:
    """A queue, workers, and what to watch. A subclass says `name`, `watches` and reconcile(key)."""

    name = ""
    source = ""  # who its events are from, where that is not its name
    workers = 1

    def __init__(self, api: Client, cache: Mapping[str, Informer], recorder: EventRecorder):
        self.api, self.cache, self.recorder = api, cache, recorder
        self.queue = WorkQueue()
        for resource in self.watches:
            self.follow(resource)

    def follow(self, resource: str) -> None:
        """Hear of a resource's changes from now on, if they are of concern here."""
        if keys := self.watches.get(resource):
            self.cache[resource].handlers.append(self._enqueue(keys))

    @property
    def watches(self) -> Mapping[str, Keys]:
        """Resource → the keys that a change to one of its objects concerns."""
        raise NotImplementedError

    def reconcile(self, key: str) -> None:
        """Bring what belongs to the key to what its spec says. Raising means: back off and again."""
        raise NotImplementedError

    def _enqueue(self, keys: Keys) -> Callable[[str, dict], None]:
        def on_event(_type: str, obj: dict) -> None:
            for key in keys(obj):
                self.queue.add(key)

        return on_event

    def start(self) -> None:
        """Start the workers; the informers are started by whoever made them."""
        for number in range(self.workers):
            threading.Thread(target=self._work, name=f"{self.name} {number}", daemon=True).start()

    def _work(self) -> None:
        for informer in list(self.cache.values()):  # custom kinds may come meanwhile
            informer.wait_for_sync()
        while (key := self.queue.get()) is not None:
            self._reconcile(str(key))
            self.queue.done(key)

    def _reconcile(self, key: str) -> None:
        try:
            self.reconcile(key)
            self.queue.forget(key)
        except ApiError as error:
            delay = self.queue.retry(key)
            # A conflict or an object that is gone only means that the copy was behind.
            level = logging.DEBUG if error.code in (404, 409) else logging.INFO
            log.log(level, "%s %s: %s; again in %.2f s", self.name, key, error.message, delay)
        except Exception:
            log.exception("%s %s: again in %.2f s", self.name, key, self.queue.retry(key))

    def now(self) -> float:
        return time.time()
