"""What is known of a name: read from copies of services, endpoint slices and namespaces, at the moment of the question.

    web.shop.svc.cluster.local                 a service: its virtual address; headless, its ready endpoints
    _http._tcp.web.shop.svc.cluster.local      the same, of one port; SRV tells the port's number
    db-0.db.shop.svc.cluster.local             one endpoint, by its host name or its dashed address
    10-244-1-5.shop.pod.cluster.local          an address, in a namespace that exists
    9.0.96.10.in-addr.arpa                     the way back

A name that does not exist is NXDOMAIN; one that has no record of the asked type (AAAA, always) is an empty answer.

Left out: NS records, zone transfers, wildcards (CoreDNS has dropped them, too).

Upstream: github.com/coredns/coredns plugin/kubernetes/{kubernetes,parse,reverse}.go;
github.com/kubernetes/dns docs/specification.md (1.1.0)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.dns import wire
from labkit.glassbox.dns.wire import NXDOMAIN, Answer, Record
from labkit.glassbox.informer import Informer

TTL = 30  # seconds, as in kubeadm's Corefile
SERVICE = "kubernetes.io/service-name"
VERSION = "1.1.0"  # of the specification
REVERSE = "in-addr.arpa"
LONGEST_CHAIN = 8  # aliases of aliases


@dataclass(frozen=True)
class Target:
    """One thing that a name stands for."""

    name: str
    address: str = ""
    port: int = 0
    alias: str = ""  # of an ExternalName service, instead of an address


class Zone:
    """The cluster's names, those of the outside, and all addresses' names."""

    def __init__(self, domain: str, cache: Mapping[str, Informer], outside: Mapping[str, str]) -> None:
        self.domain, self.cache, self.outside = domain, cache, outside
        self.slices: dict[str, dict[str, dict]] = {}  # by the service's key, then by their own
        self.pointers: dict[str, dict[str, list[str]]] = {}  # by address, then by what says so
        for resource in ("services", "endpointslices"):
            cache[resource].handlers.append(self._changed(resource))

    def find(self, name: str, kind: int) -> Answer | None:
        """Return what is known; None for a name that is not for us to know."""
        if name == self.domain or name.endswith(f".{self.domain}"):
            return self._in_cluster(name, kind)
        if name in self.outside:
            records = [Record(name, wire.A, TTL, wire.address(self.outside[name]))] if kind == wire.A else []
            return Answer(records=records, authority=() if records else [self.soa(name.partition(".")[2])])
        return self._reverse(name, kind) if name.endswith(f".{REVERSE}") else None

    def soa(self, zone: str) -> Record:
        version = self.cache["services"].version
        return wire.authority(zone, int(version or 0) & 0xFFFFFFFF, TTL)

    def _in_cluster(self, name: str, kind: int) -> Answer:
        labels = name[: -len(self.domain) - 1].split(".")
        if labels == [""]:
            return Answer(records=[self.soa(self.domain)]) if kind == wire.SOA else self._nothing(0, self.domain)
        if labels == ["dns-version"] and kind == wire.TXT:
            return Answer(records=[Record(name, kind, TTL, wire.text(VERSION))])
        targets = [Target(name)] if labels == ["dns-version"] else self._targets(labels)
        if targets is None:
            return self._nothing(NXDOMAIN, self.domain)
        records, more = _records(name, kind, targets)
        if not records:
            return self._nothing(0, self.domain)
        return Answer(records=records, additional=more)

    def _nothing(self, code: int, zone: str) -> Answer:
        return Answer(code, authority=[self.soa(zone)])

    def _targets(self, labels: list[str]) -> list[Target] | None:
        """Return what a name stands for; None if it does not exist."""
        match labels:
            case ["svc"] | ["pod"]:
                return []
            case [*_, namespace, "svc" | "pod"] if self.cache["namespaces"].get(namespace) is None:
                return None
            case [_, "svc" | "pod"]:
                return []
            case [dashed, _, "pod"]:
                address = dashed.replace("-", ".")
                return [Target("", address)] if _is_address(address) else None
            case [service, namespace, "svc"]:
                return self._service(namespace, service)
            case [endpoint, service, namespace, "svc"]:
                return self._service(namespace, service, endpoint=endpoint)
            case [port, protocol, service, namespace, "svc"] if port[:1] == protocol[:1] == "_":
                return self._service(namespace, service, port=port[1:], protocol=protocol[1:])
        return None

    def _service(self, namespace: str, name: str, endpoint: str = "", port: str = "", protocol: str = ""
                 ) -> list[Target] | None:  # fmt: skip
        service = self.cache["services"].get(f"{namespace}/{name}")
        if service is None:
            return None
        spec, own = service["spec"], f"{name}.{namespace}.svc.{self.domain}"
        if spec.get("type") == "ExternalName":
            alias = spec["externalName"].rstrip(".").lower()
            return None if endpoint or port or _is_address(alias) else [Target(own, alias=alias)]
        if spec.get("clusterIP") in (None, "", "None") or endpoint:
            slices = [*self.slices.get(f"{namespace}/{name}", {}).values()]
            found = [
                Target(f"{host}.{own}", address, each.get("port") or 0)
                for address, host, ports in _endpoints(slices)
                for each in ports or [{}]
                if endpoint in ("", host) and _is_port(each, port, protocol)
            ]
        else:
            ports = [each for each in spec.get("ports") or [] if _is_port(each, port, protocol)]
            found = [Target(own, spec["clusterIP"], each["port"]) for each in ports]
        return found or None

    def _reverse(self, name: str, kind: int) -> Answer | None:
        address = ".".join(reversed(name.removesuffix(f".{REVERSE}").split(".")))
        found = self.pointers.get(address, {})
        services = [each for each in found if each.startswith("services/")]
        names = [name for each in services or found for name in found[each]]
        names += [host for host, its in self.outside.items() if its == address]
        if not names:
            return None
        if kind != wire.PTR:
            return self._nothing(0, REVERSE)
        return Answer(records=[Record(name, kind, TTL, wire.name_bytes(each)) for each in dict.fromkeys(names)])

    # -- what the copies do not hold: which slices a service has, and which names an address

    def _changed(self, resource: str):
        told: dict[str, list[tuple[str, str]]] = {}

        def change(type: str, obj: dict) -> None:
            key = f"{resource}/{objects.key(obj)}"
            gone = type == "DELETED"
            if resource == "endpointslices":
                self._keep_slice(key, obj, gone)
            for address, _ in told.pop(key, ()):
                self._point(address, key, None)
            told[key] = [] if gone else [*self._names(obj)]
            for address, name in told[key]:
                self._point(address, key, name)
            if gone:
                del told[key]

        return change

    def _keep_slice(self, key: str, obj: dict, gone: bool) -> None:
        service = f"{objects.namespace(obj)}/{objects.labels(obj).get(SERVICE)}"
        kept = {name: each for name, each in self.slices.get(service, {}).items() if name != key}
        self.slices[service] = kept if gone else {**kept, key: obj}  # replaced, as others read meanwhile
        if not self.slices[service]:
            del self.slices[service]

    def _point(self, address: str, source: str, name: str | None) -> None:
        held = self.pointers.get(address, {})
        others = {key: names for key, names in held.items() if key != source}
        if name:
            others[source] = [*held.get(source, []), name]
        self.pointers[address] = others
        if not others:
            del self.pointers[address]

    def _names(self, obj: dict) -> Iterator[tuple[str, str]]:
        namespace = objects.namespace(obj)
        if "spec" in obj:
            if _is_address(obj["spec"].get("clusterIP") or ""):
                yield obj["spec"]["clusterIP"], f"{objects.name(obj)}.{namespace}.svc.{self.domain}"
        elif service := objects.labels(obj).get(SERVICE):
            for address, host, _ in _endpoints([obj]):
                yield address, f"{host}.{service}.{namespace}.svc.{self.domain}"


def _endpoints(slices: list[dict]) -> Iterator[tuple[str, str, list[dict]]]:
    """Give the ready endpoints: address, host name, ports."""
    for each in slices:
        for endpoint in each.get("endpoints") or [] if each.get("addressType") == "IPv4" else []:
            if (endpoint.get("conditions") or {}).get("ready", True) is not False:
                for address in endpoint["addresses"]:
                    host = endpoint.get("hostname") or address.replace(".", "-")
                    yield address, host, each.get("ports") or []


def _records(name: str, kind: int, targets: list[Target]) -> tuple[list[Record], list[Record]]:
    """Return the records of a type, and those that spare the client its next question."""
    aliases = [Record(name, wire.CNAME, TTL, wire.name_bytes(each.alias)) for each in targets if each.alias]
    if aliases:
        return aliases, []
    with_port = list(dict.fromkeys(each for each in targets if each.port))
    if kind == wire.SRV and with_port:
        weight = 100 // len(with_port)
        more = {each.name: Record(each.name, wire.A, TTL, wire.address(each.address)) for each in with_port}
        return [Record(name, kind, TTL, wire.service(each.port, each.name, weight)) for each in with_port], [
            *more.values()
        ]
    if kind != wire.A:
        return [], []
    addresses = dict.fromkeys(each.address for each in targets if each.address)
    return [Record(name, kind, TTL, wire.address(each)) for each in addresses], []


def _is_port(port: dict, name: str, protocol: str) -> bool:
    return name in ("", port.get("name")) and protocol in ("", port.get("protocol", "TCP").lower())


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.IPv4Address(text))
    except ValueError:
        return False
