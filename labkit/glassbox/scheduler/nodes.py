"""What the scheduler knows of each node: the node object, and what the pods on it have asked for.

Upstream: pkg/scheduler/framework/types.go (NodeInfo), pkg/api/v1/resource/helpers.go
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from labkit.glassbox import objects, quantity

# What a container without requests counts for in scores: millicores, bytes.
DEFAULT_CPU, DEFAULT_MEMORY = 100, 200 << 20
EVERY_ADDRESS = "0.0.0.0"


def requests(pod: dict, defaults: bool = False) -> Counter:
    """Return what the pod asks for: cpu in millicores, all else in units or bytes.

    Containers run together, with the sidecars (init containers that restart always); the other init containers run one
    after the other, each beside the sidecars before it: the larger of the two. What the pod itself asks for takes the
    place of its containers' sum. Its overhead comes on top.
    """
    sidecars: Counter = Counter()
    starting: Counter = Counter()
    for container in pod["spec"].get("initContainers") or []:
        asked = _asked(container, defaults)
        starting |= sidecars + Counter(asked)  # | is the larger of each
        if container.get("restartPolicy") == "Always":
            sidecars.update(asked)
    running = Counter(sidecars)
    for container in pod["spec"]["containers"]:
        running.update(_asked(container, defaults))
    together = running | starting
    together.update({name: value - together[name] for name, value in _asked(pod["spec"], False).items()})
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


def priority(pod: dict) -> int:
    return pod["spec"].get("priority") or 0


def host_ports(pod: dict) -> set[tuple[str, str, int]]:
    """Return what the pod takes of its node's ports: address, protocol, number."""
    ports = [port for each in pod["spec"]["containers"] for port in each.get("ports") or []]
    return {
        (port.get("hostIP") or EVERY_ADDRESS, port.get("protocol", "TCP"), port["hostPort"])
        for port in ports
        if port.get("hostPort")
    }


def clash(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    """Tell whether two pods cannot have their host ports on one node."""
    return one[1:] == other[1:] and (one[0] == other[0] or EVERY_ADDRESS in (one[0], other[0]))


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
    def name(self) -> str:
        return objects.name(self.node)

    @property
    def labels(self) -> dict[str, str]:
        return objects.labels(self.node)

    @property
    def ports(self) -> set[tuple[str, str, int]]:
        return {port for pod in self.pods.values() for port in host_ports(pod)}

    def without(self, pods: Iterable[dict]) -> NodeInfo:
        """Return the node as it would be if these pods had left."""
        gone = {objects.uid(pod) for pod in pods}
        return NodeInfo.of(self.node, [pod for uid, pod in self.pods.items() if uid not in gone])

    def also_with(self, pods: Iterable[dict]) -> NodeInfo:
        """Return the node as it would be if these pods were there as well."""
        return NodeInfo.of(self.node, [*self.pods.values(), *pods])

    @staticmethod
    def of(node: dict, pods: Iterable[dict]) -> NodeInfo:
        info = NodeInfo(node)
        for pod in pods:
            info.add(pod)
        return info
