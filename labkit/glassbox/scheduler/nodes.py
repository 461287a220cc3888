"""What the scheduler knows of each node: the node object, and what the pods on it have asked for.

Upstream: pkg/scheduler/framework/types.go (NodeInfo), pkg/api/v1/resource/helpers.go
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from labkit.glassbox import objects, quantity

# What a container without requests counts for in scores: millicores, bytes.
DEFAULT_CPU, DEFAULT_MEMORY = 100, 200 << 20


def requests(pod: dict, defaults: bool = False) -> Counter:
    """Return what the pod asks for: cpu in millicores, all else in units or bytes.

    Containers run together, init containers one after the other: the larger of the two, plus the pod's overhead.
    """
    together: Counter = Counter()
    for container in pod["spec"]["containers"]:
        together.update(_asked(container, defaults))
    for container in pod["spec"].get("initContainers") or []:
        for name, amount in _asked(container, defaults).items():
            together[name] = max(together[name], amount)
    together.update(_amounts(pod["spec"].get("overhead") or {}))
    return together


def _asked(container: dict, defaults: bool) -> dict[str, int]:
    asked = _amounts((container.get("resources") or {}).get("requests") or {})
    return {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY, **asked} if defaults else asked


def _amounts(quantities: dict) -> dict[str, int]:
    return {name: amount(name, value) for name, value in quantities.items()}


def amount(name: str, value: str) -> int:
    """Return a quantity as a whole number: millicores for cpu, else units."""
    return quantity.millicores(value) if name == "cpu" else quantity.bytes_of(value)


def host_ports(pod: dict) -> set[tuple[str, int]]:
    ports = [port for each in pod["spec"]["containers"] for port in each.get("ports") or []]
    return {(port.get("protocol", "TCP"), port["hostPort"]) for port in ports if port.get("hostPort")}


@dataclass
class NodeInfo:
    """A node and the pods that are on it or on their way there."""

    node: dict = field(default_factory=dict)  # empty while only its pods are known
    pods: dict[str, dict] = field(default_factory=dict)  # by UID
    requested: Counter = field(default_factory=Counter)
    scored: Counter = field(default_factory=Counter)  # requests with the defaults for those who ask for nothing

    def add(self, pod: dict) -> None:
        self.remove(objects.uid(pod))  # it may ask for something else by now
        self.requested.update(requests(pod))
        self.scored.update(requests(pod, defaults=True))
        self.pods[objects.uid(pod)] = pod

    def remove(self, uid: str) -> bool:
        """Take a pod off the books; tell whether it was there."""
        pod = self.pods.pop(uid, None)
        if pod is None:
            return False
        self.requested.subtract(requests(pod))
        self.scored.subtract(requests(pod, defaults=True))
        return True

    def allocatable(self, name: str) -> int:
        return amount(name, (self.node.get("status") or {}).get("allocatable", {}).get(name, "0"))

    @property
    def ports(self) -> set[tuple[str, int]]:
        return {port for pod in self.pods.values() for port in host_ports(pod)}
