"""What is to be proxied: each port of each service, and the endpoints that may be sent something. Pure.

Upstream: pkg/proxy/serviceport.go
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from labkit.glassbox import objects
from labkit.glassbox.service_endpoints import Endpoint, by_service, endpoints_of, usable

OTHER_PROXY = "service.kubernetes.io/service-proxy-name"
NO_ADDRESS = ("", "None", None)


@dataclass(frozen=True)
class ServicePort:
    """One port of a service, with all that decides where its traffic goes."""

    namespace: str
    name: str
    port_name: str
    protocol: str  # tcp or udp
    address: str  # the virtual one
    port: int
    node_port: int = 0
    external_addresses: tuple[str, ...] = ()
    affinity: int = 0  # seconds for which a client stays with an endpoint
    internal_local: bool = False  # traffic from inside stays on its node
    external_local: bool = False  # traffic from outside stays on the node that it came to
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}/{self.protocol}/{self.port_name}"

    def usable(self, node: str = "") -> list[Endpoint]:
        """Return the endpoints to use, of one node if given: the ready ones, or in need those that end but serve."""
        return usable([each for each in self.endpoints if node in ("", each.node)])


class ServicePorts:
    """Every port of every service that has a virtual address; what did not change is not looked at again."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[tuple[dict, list[dict]], list[ServicePort]]] = {}  # of what, and what came of it

    def of(self, services: Iterable[dict], slices: Iterable[dict]) -> list[ServicePort]:
        """Return the ports of these services."""
        found, old, self.known = by_service(slices), self.known, {}
        for service in services:
            key = objects.key(service)
            given, held = (service, found.get(key, [])), old.get(key)
            self.known[key] = held if held and held[0] == given else (given, ports_of(*given))
        every = [port for _, ports in self.known.values() for port in ports]
        virtual = {port.address for port in every}
        return [without(port, virtual) if port.external_addresses else port for port in every]


def ports_of(service: dict, slices: list[dict]) -> list[ServicePort]:
    """Return the ports of one service."""
    ports = service["spec"].get("ports") or [] if is_proxied(service) else []
    return [_port(service, each, slices) for each in ports if each.get("protocol", "TCP") in ("TCP", "UDP")]


def without(port: ServicePort, virtual: set[str]) -> ServicePort:
    """Return a port without those external addresses that are some service's own: CVE-2020-8554."""
    return replace(port, external_addresses=tuple(each for each in port.external_addresses if each not in virtual))


def is_proxied(service: dict) -> bool:
    spec = service["spec"]
    has_address = spec.get("type") != "ExternalName" and spec.get("clusterIP") not in NO_ADDRESS
    return has_address and OTHER_PROXY not in objects.labels(service)


def _port(service: dict, port: dict, slices: list[dict]) -> ServicePort:
    spec, name = service["spec"], port.get("name") or ""
    affinity = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    balancers = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    outside = [*(spec.get("externalIPs") or []), *(each["ip"] for each in balancers if each.get("ip"))]
    return ServicePort(
        namespace=objects.namespace(service),
        name=objects.name(service),
        port_name=name,
        protocol=port.get("protocol", "TCP").lower(),
        address=spec["clusterIP"],
        port=port["port"],
        node_port=port.get("nodePort") or 0,
        external_addresses=tuple(each for each in outside if ":" not in each),
        affinity=affinity.get("timeoutSeconds", 10800) if spec.get("sessionAffinity") == "ClientIP" else 0,
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        external_local=spec.get("externalTrafficPolicy") == "Local",
        endpoints=endpoints_of(slices, name, port.get("protocol", "TCP")),
    )
