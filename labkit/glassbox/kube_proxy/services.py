"""What is to be proxied: each port of each service, and the endpoints that may be sent something. Pure.

Upstream: pkg/proxy/serviceport.go, pkg/proxy/endpointslicecache.go, pkg/proxy/topology.go
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labkit.glassbox import objects

SERVICE = "kubernetes.io/service-name"
OTHER_PROXY = "service.kubernetes.io/service-proxy-name"
NO_ADDRESS = ("", "None", None)


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
        within = [each for each in self.endpoints if node in ("", each.node)]
        ready = [each for each in within if each.ready]
        return ready or [each for each in within if each.serving and each.terminating]


def service_ports(services: Iterable[dict], slices: Iterable[dict]) -> list[ServicePort]:
    """Return every port of every service that has a virtual address."""
    by_service: dict[str, list[dict]] = {}
    for each in slices:
        if each.get("addressType") == "IPv4":
            by_service.setdefault(f"{objects.namespace(each)}/{objects.labels(each).get(SERVICE)}", []).append(each)
    return [
        _port(service, port, by_service.get(objects.key(service), []))
        for service in services
        if is_proxied(service)
        for port in service["spec"].get("ports") or []
        if port.get("protocol", "TCP") in ("TCP", "UDP")
    ]


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
        external_addresses=tuple(outside),
        affinity=affinity.get("timeoutSeconds", 10800) if spec.get("sessionAffinity") == "ClientIP" else 0,
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        external_local=spec.get("externalTrafficPolicy") == "Local",
        endpoints=tuple(sorted(set(_endpoints(slices, name, port.get("protocol", "TCP"))))),
    )


def _endpoints(slices: list[dict], name: str, protocol: str) -> Iterable[Endpoint]:
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
