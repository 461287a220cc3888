"""What the parts of a pod's worker (starting, stopping, reporting) have in common: the API, the runtime, the clock.

Upstream: the fields of pkg/kubelet/kubelet.go's Kubelet
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.glassbox import objects
from labkit.glassbox.clock import Clock
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.kubelet import volumes
from labkit.glassbox.kubelet.env import Lookup
from labkit.glassbox.kubelet.object_cache import ObjectCache
from labkit.glassbox.kubelet.runtime import Actual, LinuxRuntime

HOST_TREE = "host"  # what hostPath volumes see as the node's own files, below the root directory
RETRY = 5.0  # seconds before something that failed outside the pod is tried again


@dataclass(frozen=True)
class Node:
    """What a pod may know of its node, and where the node keeps what is the pod's."""

    name: str
    address: str
    root_dir: Path
    run_dir: Path
    allocatable: dict[str, str]
    cluster_dns: str = ""
    cluster_domain: str = "cluster.local"


@dataclass
class Surroundings:
    """Where pods are worked on: nothing here is any one pod's."""

    api: Any
    runtime: LinuxRuntime
    events: EventRecorder
    again: Callable[[str, float], None]  # have a pod synced in so many seconds
    node: Node
    clock: Clock
    cache: ObjectCache
    _told: set[tuple[str, str]] = field(default_factory=set)  # (uid, what): events that are sent once
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, pod: dict, reason: str, message: str, path: str = "") -> None:
        """Record an event of type Normal."""
        self.events.event(pod, "Normal", reason, message, field_path=path)

    def warn(self, pod: dict, reason: str, message: str, path: str = "") -> None:
        """Record an event of type Warning."""
        self.events.event(pod, "Warning", reason, message, field_path=path)

    def first_time(self, pod: dict, what: str) -> bool:
        """Tell whether this is done for the first time for the pod, and remember it."""
        with self._lock:
            known = (objects.uid(pod), what) in self._told
            self._told.add((objects.uid(pod), what))
            return not known

    def forget(self, uid: str) -> None:
        """Forget what was told of a pod."""
        with self._lock:
            self._told = {each for each in self._told if each[0] != uid}
        self.cache.forget(uid)

    def lookup(self, pod: dict) -> Lookup:
        """Return how the pod's ConfigMaps and Secrets are had."""
        return self.cache.lookup(pod)

    def sources(self, pod: dict, actual: Actual) -> volumes.Sources:
        """Return what the pod's volumes are made from."""

        def request_token(account: str, request: dict) -> dict:
            where = account, objects.namespace(pod), "token"
            return self.api.create_subresource("serviceaccounts", *where, request)

        tree = self.node.root_dir / HOST_TREE
        return volumes.Sources(self.facts(pod, actual), self.lookup(pod), request_token, tree, self.clock.now())

    def facts(self, pod: dict, actual: Actual) -> dict[str, str]:
        """Return the field paths of the downward API that only a running pod has."""
        address = actual.sandbox.address if actual.sandbox else ""
        return {
            "status.podIP": address,
            "status.podIPs": address,
            "status.hostIP": self.node.address,
            "status.hostIPs": self.node.address,
            "spec.nodeName": self.node.name,
            "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
            **{f"allocatable.{name}": value for name, value in self.node.allocatable.items()},
        }

    def places(self, uid: str) -> volumes.Places:
        """Return where the volumes of a pod lie."""
        return volumes.places(self.node.root_dir, self.node.run_dir, uid)

    def log_directory(self, pod: dict) -> Path:
        """Return where the logs of a pod's containers lie; removed with its volumes."""
        return log_directory(self.node.root_dir, objects.uid(pod))


def log_directory(root_dir: Path, uid: str) -> Path:
    """Return where a pod's logs lie on its node."""
    return root_dir / "pods" / uid / "logs"
