"""What the scheduler knows of each node: the node object, and what the pods on it have asked for.

Upstream: pkg/scheduler/framework/types.go (NodeInfo)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from labkit.glassbox import objects
from labkit.glassbox.pod_requests import amount, host_ports, requests


def has_pod_affinity(pod: dict) -> bool:
    """Tell whether the pod wants to be near other pods, or far from them."""
    return bool((pod["spec"].get("affinity") or {}).keys() & {"podAffinity", "podAntiAffinity"})


def priority(pod: dict) -> int:
    return pod["spec"].get("priority") or 0


@dataclass
class NodeInfo:
    """A node and the pods that are on it or on their way there."""

    node: dict = field(default_factory=dict)  # empty while only its pods are known
    pods: dict[str, dict] = field(default_factory=dict)  # by UID
    requested: Counter = field(default_factory=Counter)
    with_affinity: dict[str, dict] = field(default_factory=dict)  # those that care which pods are near them
    scored: Counter = field(default_factory=Counter)  # requests with the defaults for those who ask for nothing

    def add(self, pod: dict) -> None:
        self.remove(objects.uid(pod))  # it may ask for something else by now
        self.requested.update(requests(pod))
        self.scored.update(requests(pod, defaults=True))
        self.pods[objects.uid(pod)] = pod
        if has_pod_affinity(pod):
            self.with_affinity[objects.uid(pod)] = pod

    def remove(self, uid: str) -> bool:
        """Take a pod off the books; tell whether it was there."""
        self.with_affinity.pop(uid, None)
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
