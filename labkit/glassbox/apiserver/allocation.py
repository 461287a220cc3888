"""Numbers that a Service is given: its virtual address and its node ports.

What is taken is read from the services themselves, so nothing can leak.

Upstream: pkg/registry/core/service/{ipallocator,portallocator}
"""

from __future__ import annotations

import ipaddress
import random

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver.objects_at_rest import prefix
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.service import WITH_NODE_PORTS, node_ports
from labkit.glassbox.resources.validation import names, services
from labkit.glassbox.resources.validation.fields import invalid

NODE_PORTS = range(30000, 32768)
OUT_OF_RANGE = "not in the valid range. The range of valid ports is 30000-32767"


def on_create(request: Request, obj: dict, api: Api) -> None:
    """Give a new Service what it did not ask for by number. Raises ApiError 422."""
    if request.resource.called != "services":
        return
    spec = obj.get("spec") or {}
    if spec.get("type", "ClusterIP") == "ExternalName":
        return
    others = _others(request, api)
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    _check(obj)
    if not spec.get("clusterIP") and not spec.get("clusterIPs"):
        network = ipaddress.ip_network(api.service_range)  # of a dry run, which takes none, it is the address itself
        spec["clusterIP"] = str(network[0]) if request.dry_run else _free_address(others, api.service_range)
    elif fault := _not_allocated(spec.get("clusterIP"), others, api.service_range):
        told = f"failed to allocate IP {spec['clusterIP']}: {fault}"
        raise _refused(obj, [invalid("spec.clusterIPs", [spec["clusterIP"]], told)])
    spec["clusterIPs"] = spec.get("clusterIPs") or [spec["clusterIP"]]
    if spec.get("type") in WITH_NODE_PORTS:
        _give_node_ports(obj, {}, others)
    _give_health_check_port(spec, others)


def on_update(request: Request, obj: dict, old: dict, api: Api) -> None:
    """Keep a Service's numbers where an update does not name them; give what a new type needs."""
    if request.resource.called != "services" or request.route.subresource:
        return
    spec, held = obj.get("spec") or {}, old.get("spec") or {}
    if spec.get("type", "ClusterIP") == "ExternalName":
        return
    for field in ("clusterIP", "clusterIPs"):
        if not spec.get(field) and held.get(field):
            spec[field] = held[field]
    if spec.get("clusterIP") != held.get("clusterIP") and spec.get("clusterIPs") == held.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]] if spec.get("clusterIP") else []
    _check(obj, held.get("clusterIP", ""))
    if not spec.get("clusterIP"):
        on_create(request, obj, api)
    if spec.get("type") in WITH_NODE_PORTS:
        if held.get("type") in WITH_NODE_PORTS:
            _keep_node_ports(spec, held)
        _give_node_ports(obj, held, _others(request, api))
    if services.is_health_checked(spec) and services.is_health_checked(held) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = held.get("healthCheckNodePort")
    _give_health_check_port(spec, _others(request, api))


def _check(obj: dict, held: str = "") -> None:
    """Refuse what cannot be given, before anything else is looked at. Raises ApiError 422."""
    spec = obj.get("spec") or {}
    if causes := list(services.addresses(spec, held)) or list(services.stacks(spec)):
        raise _refused(obj, causes)


def _refused(obj: dict, causes: list[Cause]) -> errors.ApiError:
    return errors.invalid("Service", "", obj["metadata"].get("name", ""), causes)


def _not_allocated(address: str | None, others: list[dict], service_range: str) -> str:
    """Return why an address that was asked for cannot be had, "" if it can; what is no address is refused later."""
    if not address or address == "None" or names.address(address):
        return ""
    if ipaddress.ip_address(address) not in ipaddress.ip_network(service_range):
        return "the provided network does not match the current range"
    return "provided IP is already allocated" if address in {other.get("clusterIP") for other in others} else ""


def _others(request: Request, api: Api) -> list[dict]:
    return [orjson.loads(row.value).get("spec") or {} for row in api.store.rows(prefix(request.resource))[0]]


def _free_address(others: list[dict], service_range: str) -> str:
    network = ipaddress.ip_network(service_range)
    taken = {other.get("clusterIP") for other in others}
    while True:
        # .1 is the API's own and .10 the DNS's; the first 256 are for services that ask for a number
        address = str(network[random.randrange(257, network.num_addresses - 1)])
        if address not in taken:
            return address


def _give_health_check_port(spec: dict, others: list[dict]) -> None:
    """Give a port at which a load balancer asks whether a node has pods: it sends traffic to those nodes alone."""
    if services.is_health_checked(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = _free_node_port(_taken(spec, *others))


def _keep_node_ports(spec: dict, held: dict) -> None:
    """Give ports that ask for no number the one that they had, by their names, unless another port took it."""
    used, had = node_ports(held) & node_ports(spec), {port.get("name"): port for port in held.get("ports") or []}
    for port in spec.get("ports") or []:
        number = had.get(port.get("name"), {}).get("nodePort")
        if not port.get("nodePort") and number and number not in used:
            port["nodePort"] = number


def _taken(*specs: dict) -> set[int | None]:
    ports = {port.get("nodePort") for spec in specs for port in spec.get("ports") or []}
    return ports | {spec.get("healthCheckNodePort") for spec in specs}


def _free_node_port(taken: set[int | None]) -> int:
    return random.choice([number for number in NODE_PORTS if number not in taken])


def _give_node_ports(obj: dict, held: dict, others: list[dict]) -> None:
    """Give each port a number that asked for none. Raises ApiError 422 for one that cannot be had."""
    spec, causes = obj["spec"], []
    taken = _taken(*others) - _taken(held)
    for index, port in enumerate(spec.get("ports") or []):
        if not (number := port.get("nodePort")):
            if spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts"):
                port["nodePort"] = _free_node_port(_taken(spec, *others))
        elif number not in NODE_PORTS or number in taken:
            fault = "already allocated" if number in NODE_PORTS else OUT_OF_RANGE
            causes.append(invalid(f"spec.ports[{index}].nodePort", number, f"provided port is {fault}"))
    if causes:
        raise _refused(obj, causes)
