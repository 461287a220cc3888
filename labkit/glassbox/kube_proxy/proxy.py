"""Follows services and their endpoints and keeps the node's proxier in step.

Upstream: pkg/proxy/nftables/proxier.go (OnServiceUpdate … syncRunner)
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from labkit.glassbox import clock, objects
from labkit.glassbox.client import Client
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import inform
from labkit.glassbox.kube_proxy.services import ServicePort, service_ports

log = logging.getLogger(__name__)

AGAIN_AFTER = 1.0  # seconds after a failure
TOGETHER = 0.01  # seconds in which changes are waited for, to be done at once
CONDITION = "ServiceRouting"


class Proxier(Protocol):
    """What makes virtual addresses work on a node."""

    reason: str
    message: str

    def sync(self, ports: list[ServicePort]) -> None: ...

    def close(self) -> None: ...


class Proxy:
    """One node's kube-proxy."""

    def __init__(self, api: Client, recorder: EventRecorder, node: str, proxier: Proxier) -> None:
        self.api, self.recorder, self.node, self.proxier = api, recorder, node, proxier
        self.changed, self.stopping = threading.Event(), threading.Event()
        self.cache = inform(api, "services", "endpointslices")
        for informer in self.cache.values():
            informer.handlers.append(lambda *_: self.changed.set())

    def run(self) -> None:
        """Run until `stop`."""
        for informer in self.cache.values():
            informer.start()
        for informer in self.cache.values():
            informer.wait_for_sync()
        self.changed.set()
        threading.Thread(target=self._tell_node, name="node condition", daemon=True).start()
        while not self.stopping.is_set():
            self.changed.wait()
            self.stopping.wait(TOGETHER)
            self.changed.clear()
            self.sync()
        self.proxier.close()

    def stop(self) -> None:
        self.stopping.set()
        self.changed.set()

    def sync(self) -> None:
        if self.stopping.is_set():
            return
        try:
            self.proxier.sync(service_ports(self.cache["services"].list(), self.cache["endpointslices"].list()))
        except Exception as error:
            log.warning("services are not routed as they should be: %s", error)
            self.stopping.wait(AGAIN_AFTER)
            self.changed.set()

    def _tell_node(self) -> None:
        """Say on the node how its services are routed."""
        new = {"type": CONDITION, "status": "True", "reason": self.proxier.reason, "message": self.proxier.message}
        new["lastHeartbeatTime"] = clock.rfc3339(time.time())
        while not self.stopping.is_set():
            try:
                old = objects.condition(self.api.get("nodes", self.node), CONDITION)
                [condition] = objects.set_condition([old] if old else [], new, time.time())
                patch = {"status": {"conditions": [condition]}}
                self.api.patch("nodes", self.node, None, patch, kind="strategic", subresource="status")
                return
            except Exception as error:
                log.info("node %s: %s", self.node, error)
                self.stopping.wait(AGAIN_AFTER)
