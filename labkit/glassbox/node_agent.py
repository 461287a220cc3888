"""A loop that keeps its node in step with some of the cluster's objects: all of them at once, whenever one changes.

What a controller does key by key, kube-proxy and the network policy agent do as a whole: their node's tables are one
thing. Changes that come together are done together; a failure is tried again; the loop goes on while the API is away,
with what it knows.

Upstream: pkg/proxy/runner/bounded_frequency_runner.go
"""

from __future__ import annotations

import logging
import threading
import time

from labkit.glassbox import clock, objects
from labkit.glassbox.client import Client
from labkit.glassbox.informer import Informer, inform

log = logging.getLogger(__name__)

AGAIN_AFTER = 1.0  # seconds after a failure
TOGETHER = 0.01  # seconds in which changes are waited for, to be done at once


class NodeAgent:
    """One node's loop. `sync` is what a subclass does, `condition` what it says of itself on its node."""

    resources: tuple[str, ...] = ()
    condition: dict[str, str]

    def __init__(self, api: Client, node: str) -> None:
        self.api, self.node = api, node
        self.cache: dict[str, Informer] = {}
        self.changed, self.stopping = threading.Event(), threading.Event()

    def sync(self) -> None:
        """Bring the node to what the cache says; an exception means: again."""
        raise NotImplementedError

    def run(self) -> None:
        """Run until `stop`."""
        self.follow(*self.resources)
        threading.Thread(target=self._tell_node, name="node condition", daemon=True).start()
        while not self.stopping.is_set():
            self.changed.wait()
            self.stopping.wait(TOGETHER)
            self.changed.clear()
            if not self.stopping.is_set():
                self._try()

    def stop(self) -> None:
        self.stopping.set()
        self.changed.set()

    def follow(self, *resources: str) -> None:
        """Have these resources in the cache from now on."""
        more = inform(self.api, *resources)
        for informer in more.values():
            informer.handlers.append(lambda *_: self.changed.set())
            informer.start()
        for informer in more.values():
            informer.wait_for_sync()
        self.cache |= more
        self.changed.set()

    def _try(self) -> None:
        try:
            self.sync()
        except Exception as error:
            log.warning("%s is not in step: %s", self.node, error)
            self.stopping.wait(AGAIN_AFTER)
            self.changed.set()

    def _tell_node(self) -> None:
        new = {**self.condition, "lastHeartbeatTime": clock.rfc3339(time.time())}
        while not self.stopping.is_set():
            try:
                old = objects.condition(self.api.get("nodes", self.node), new["type"])
                [condition] = objects.set_condition([old] if old else [], new, time.time())
                patch = {"status": {"conditions": [condition]}}
                self.api.patch("nodes", self.node, None, patch, kind="strategic", subresource="status")
                return
            except Exception as error:
                log.info("node %s: %s", self.node, error)
                self.stopping.wait(AGAIN_AFTER)
