"""What is behind a service's port, as its EndpointSlices tell it. Pure.

Upstream: pkg/proxy/endpointslicecache.go, pkg/proxy/topology.go
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from labkit.glassbox import objects

SERVICE = "kubernetes.io/service-name"


@dataclass(frozen=True, order=True)
class Endpoint:
    """One address behind a service's port."""

    address: str
    port: int
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False

    @property
    def where(self) -> str:
        return f"{self.address}:{self.port}"


def by_service(slices: Iterable[dict]) -> dict[str, list[dict]]:
    """Return the slices of IPv4 by the key of their service."""
    found: dict[str, list[dict]] = {}
    for each in slices:
        if each.get("addressType") == "IPv4":
            found.setdefault(f"{objects.namespace(each)}/{objects.labels(each).get(SERVICE)}", []).append(each)
    return found


def endpoints_of(slices: Iterable[dict], name: str, protocol: str = "TCP") -> tuple[Endpoint, ...]:
    """Return what a service's slices have for its port of that name."""
    return tuple(sorted(set(_endpoints(slices, name, protocol))))


def usable(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Return the endpoints to use: the ready ones, or in need those that end but serve."""
    ready = [each for each in endpoints if each.ready]
    return ready or [each for each in endpoints if each.serving and each.terminating]


def _endpoints(slices: Iterable[dict], name: str, protocol: str) -> Iterator[Endpoint]:
    for each in slices:
        for port in each.get("ports") or []:
            if (port.get("name") or "") != name or port.get("protocol", "TCP") != protocol or not port.get("port"):
                continue
            for endpoint in each.get("endpoints") or []:
                conditions = endpoint.get("conditions") or {}
                ready = conditions.get("ready", True) is not False
                yield Endpoint(
                    address=endpoint["addresses"][0],
                    port=port["port"],
                    node=endpoint.get("nodeName") or "",
                    ready=ready,
                    serving=conditions.get("serving", ready) is not False,
                    terminating=bool(conditions.get("terminating")),
                )
