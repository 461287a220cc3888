"""What is in a namespace, kept up to date: for each resource a list, then a watch from there, in a thread of its own.

A stream that ends is opened again from the last revision seen; an API server that is gone is asked again, ever more
slowly, and then listed anew. What cannot be read is told (`Snapshot.troubles`), by resource, and stops nothing.
Changes are handed on together, at most ten times a second, all by one thread: who shows them needs no lock.

Threads are daemons and end with `close`, or with the kernel.

Upstream: client-go, tools/cache/reflector.go
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from labkit.api import Api, Object, Stream
from labkit.errors import ApiFailure, ClusterError

TOGETHER = 0.1  # seconds: changes that come within it are shown at once
WATCH_SECONDS = 300.0  # a stream's longest life, as a reflector's
LAST_WORD = 2.0  # seconds in which a picture that is being drawn is finished
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds before an API server that failed is asked again


@dataclass(frozen=True)
class Snapshot:
    """All objects at one moment, by resource, and what kept us from reading a resource."""

    objects: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, resource: str) -> tuple[Object, ...]:
        return self.objects.get(resource, ())


class Feed:
    """Follows resources; `show` gets a snapshot after each change, the first when all have been read once.

    topics  resource → namespace; None for what lives in no namespace
    """

    def __init__(self, api: Api, topics: Mapping[str, str | None], show: Callable[[Snapshot], None]) -> None:
        self._show = show
        self._followers = [Follower(api, resource, where, self.touch) for resource, where in topics.items()]
        self._changed, self._closed = threading.Event(), threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if not self.threads:
            work = [*(follower.run for follower in self._followers), self._hand_on]
            self.threads = [threading.Thread(target=each, daemon=True, name="labkit feed") for each in work]
            for thread in self.threads:
                thread.start()

    def close(self) -> None:
        """End all threads; nothing is shown any more."""
        self._closed.set()
        self._changed.set()
        for follower in self._followers:
            follower.close()
        for thread in self.threads[-1:]:  # the one that shows
            thread.join(LAST_WORD)

    def touch(self) -> None:
        """Have a snapshot shown again, soon."""
        self._changed.set()

    def snapshot(self) -> Snapshot:
        """Return what is known now."""
        objects = {each.resource: each.objects() for each in self._followers}
        return Snapshot(objects, {each.resource: each.trouble for each in self._followers if each.trouble})

    def _hand_on(self) -> None:
        while self._changed.wait() and not self._closed.is_set():
            self._changed.clear()
            if all(follower.has_read for follower in self._followers):
                self._show(self.snapshot())
            self._closed.wait(TOGETHER)


class Follower:
    """One resource: its objects by UID. Only `run`'s thread writes them; others read a copy."""

    def __init__(self, api: Api, resource: str, namespace: str | None, changed: Callable[[], None]) -> None:
        self.api, self.resource, self.namespace = api, resource, namespace
        self.trouble, self.has_read = "", False
        self._changed, self._closed = changed, threading.Event()
        self._objects: dict[str, Object] = {}
        self._stream: Stream | None = None

    def objects(self) -> tuple[Object, ...]:
        """Return the objects as they are known now."""
        return tuple(self._objects.copy().values())

    def close(self) -> None:
        """End the loop, also where it waits in a stream."""
        self._closed.set()
        if stream := self._stream:
            stream.end()

    def run(self) -> None:
        """List and watch until closed."""
        pause = FIRST_PAUSE
        while not self._closed.is_set():
            try:
                since = self._read()
                pause = FIRST_PAUSE
                while not self._closed.is_set():
                    since = self._watch(since)
                    self._closed.wait(TOGETHER)  # a server that ends streams at once is not asked in a hot loop
            except ClusterError as error:
                if isinstance(error, ApiFailure) and error.code == 410:
                    continue  # compacted meanwhile: list again
                self._tell(error.what)
                self._closed.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _read(self) -> str:
        found = self.api.list(self.resource, self.namespace)
        self._put(found["items"])
        self._tell("")
        return found["metadata"]["resourceVersion"]

    def _put(self, objects: Iterable[Object]) -> None:
        self._objects = {each["metadata"]["uid"]: each for each in objects}

    def _watch(self, since: str) -> str:
        """Follow one stream to its end; return the revision to go on from."""
        self._stream = self.api.watch(self.resource, self.namespace, since=since, seconds=WATCH_SECONDS)
        if self._closed.is_set():
            self._stream.end()
        for event, obj in self._stream:
            since = obj["metadata"]["resourceVersion"]
            if event == "DELETED":
                self._objects.pop(obj["metadata"]["uid"], None)
            elif event != "BOOKMARK":
                self._objects[obj["metadata"]["uid"]] = obj
            if event != "BOOKMARK":
                self._changed()
        return since

    def _tell(self, trouble: str) -> None:
        self.trouble, self.has_read = trouble, True
        self._changed()
