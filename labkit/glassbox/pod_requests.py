"""What a pod asks its node for: resources and ports.

The scheduler and the kubelet count alike, or a node would refuse what it was chosen for.

Upstream: staging/src/k8s.io/component-helpers/resource/helpers.go
"""

from __future__ import annotations

from collections import Counter

from labkit.glassbox import quantity

# What a container without requests counts for in scores: millicores, bytes.
DEFAULT_CPU, DEFAULT_MEMORY = 100, 200 << 20
EVERY_ADDRESS = "0.0.0.0"


def requests(pod: dict, defaults: bool = False, field: str = "requests") -> Counter:
    """Return what the pod asks for, or with field="limits" may have: cpu in millicores, all else in units or bytes.

    Containers run together, with the sidecars (init containers that restart always); the other init containers run one
    after the other, each beside the sidecars before it: the larger of the two. What the pod itself asks for takes the
    place of its containers' sum. Its overhead comes on top.
    """
    sidecars: Counter = Counter()
    starting: Counter = Counter()
    for container in pod["spec"].get("initContainers") or []:
        asked = _asked(container, defaults, field)
        starting |= sidecars + Counter(asked)  # | is the larger of each
        if container.get("restartPolicy") == "Always":
            sidecars.update(asked)
    running = Counter(sidecars)
    for container in pod["spec"]["containers"]:
        running.update(_asked(container, defaults, field))
    together = running | starting
    together.update({name: value - together[name] for name, value in _asked(pod["spec"], False, field).items()})
    together.update(_amounts(pod["spec"].get("overhead") or {}))
    return together


def _asked(container: dict, defaults: bool, field: str) -> dict[str, int]:
    asked = _amounts((container.get("resources") or {}).get(field) or {})
    return {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY, **asked} if defaults else asked


def _amounts(quantities: dict) -> dict[str, int]:
    return {name: amount(name, value) for name, value in quantities.items()}


def amount(name: str, value: str) -> int:
    """Return a quantity as a whole number: millicores for cpu, else units."""
    return quantity.millicores(value) if name == "cpu" else quantity.bytes_of(value)


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
