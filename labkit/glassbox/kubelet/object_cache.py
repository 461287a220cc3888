"""The ConfigMaps and Secrets that this node's pods use: had from a copy that is followed, so that changes show at once.

Upstream's kubelet watches each object by name; here one informer a resource follows all of them, from the first pod on
that uses one. A pod is synced when an object that it ever asked for changes, also one that was not there.

Upstream: pkg/kubelet/util/manager/watch_based_manager.go
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from labkit.glassbox import objects
from labkit.glassbox.informer import Informer
from labkit.glassbox.kubelet.env import ConfigError, Lookup

FOLLOWED = ("configmaps", "secrets")
SYNCED_WITHIN = 5.0  # seconds


class ObjectCache:
    """Looks objects up for pods, and remembers who asked for which."""

    def __init__(self, api: Any, again: Callable[[str, float], None]) -> None:
        self.api, self.again = api, again
        self.informers: dict[str, Informer] = {}
        self.users: dict[tuple[str, str], set[str]] = {}  # (resource, key) -> uids of pods
        self._lock = threading.Lock()

    def lookup(self, pod: dict) -> Lookup:
        """Return how a pod gets at objects of its namespace."""
        uid, namespace = objects.uid(pod), objects.namespace(pod)

        def get(resource: str, name: str) -> dict:
            key = f"{namespace}/{name}"
            held = self._followed(resource, key, uid) if resource in FOLLOWED else None
            return held or self.api.get(resource, name, namespace)

        return get

    def services(self) -> list[dict]:
        """Return all services, followed from the first container on. Raises ConfigError."""
        with self._lock:
            informer = self._informer("services")
        if not informer.wait_for_sync(SYNCED_WITHIN):
            raise ConfigError("services have not yet been read at least once, cannot construct envvars")
        return informer.list()

    def forget(self, uid: str) -> None:
        """Forget a pod that is gone."""
        with self._lock:
            for key in [key for key, uids in self.users.items() if uid in uids]:
                self.users[key].discard(uid)
                if not self.users[key]:
                    del self.users[key]

    def _followed(self, resource: str, key: str, uid: str) -> dict | None:
        with self._lock:
            self.users.setdefault((resource, key), set()).add(uid)
            informer = self._informer(resource)
        return informer.get(key) if informer.synced.is_set() else None

    def _informer(self, resource: str) -> Informer:
        if resource not in self.informers:
            self.informers[resource] = Informer(self.api, resource, on_event=partial(self._changed, resource))
            self.informers[resource].start()
        return self.informers[resource]

    def _changed(self, resource: str, _type: str, obj: dict) -> None:
        with self._lock:
            users = list(self.users.get((resource, objects.key(obj)), ()))
        for uid in users:
            self.again(uid, 0)
