"""The ConfigMaps and Secrets that this node's pods use: each is followed by name, so that a change shows at once.

A node may read no more than what its pods name, and each of these alone; so there is an informer an object, from the
first pod on that uses it to the last. A pod is synced when an object that it ever asked for changes, also one that was
not there.

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
        self.informers: dict[tuple[str, str], Informer] = {}  # (resource, key)
        self.users: dict[tuple[str, str], set[str]] = {}  # (resource, key) -> uids of pods
        self._services: Informer | None = None
        self._lock = threading.Lock()

    def lookup(self, pod: dict) -> Lookup:
        """Return how a pod gets at objects of its namespace."""
        uid, namespace = objects.uid(pod), objects.namespace(pod)

        def get(resource: str, name: str) -> dict:
            held = self._followed(resource, namespace, name, uid) if resource in FOLLOWED else None
            return held or self.api.get(resource, name, namespace)

        return get

    def services(self) -> list[dict]:
        """Return all services, followed from the first container on. Raises ConfigError."""
        with self._lock:
            if self._services is None:
                self._services = Informer(self.api, "services")
                self._services.start()
        if not self._services.wait_for_sync(SYNCED_WITHIN):
            raise ConfigError("services have not yet been read at least once, cannot construct envvars")
        return self._services.list()

    def forget(self, uid: str) -> None:
        """Forget a pod that is gone, and what it alone used."""
        with self._lock:
            for key in [key for key, uids in self.users.items() if uid in uids]:
                self.users[key].discard(uid)
                if not self.users[key]:
                    del self.users[key]
                    self.informers.pop(key).stop()

    def _followed(self, resource: str, namespace: str, name: str, uid: str) -> dict | None:
        key = (resource, f"{namespace}/{name}")
        with self._lock:
            self.users.setdefault(key, set()).add(uid)
            informer = self.informers.get(key)
            if informer is None:
                only = f"metadata.name={name}"
                told = partial(self._changed, key)
                informer = Informer(self.api, resource, namespace=namespace, field_selector=only, on_event=told)
                self.informers[key] = informer
                informer.start()
        return informer.get(key[1]) if informer.synced.is_set() else None

    def _changed(self, key: tuple[str, str], *_: Any) -> None:
        with self._lock:
            users = list(self.users.get(key, ()))
        for uid in users:
            self.again(uid, 0)
