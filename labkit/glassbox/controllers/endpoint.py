"""Endpoints: all addresses behind a service in one object, as older clients read them.

Upstream: pkg/controller/endpoint/endpoints_controller.go, pkg/api/v1/endpoints/util.go (RepackSubsets)
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.controllers import endpoints
from labkit.glassbox.errors import ApiError

MANAGED = {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}
MOST = 1000  # addresses; an object that says more would be too large
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"


class EndpointsController(Controller):
    """The key is a service; its Endpoints have its name."""

    name = "endpoints-controller"

    @property
    def watches(self):
        return {"services": itself, "pods": endpoints.Memberships(self.cache), "endpoints": itself}

    def reconcile(self, key: str) -> None:
        service, held = self.cache["services"].get(key), self.cache["endpoints"].get(key)
        if service is None:
            return self.remove(held)
        if not endpoints.has_endpoints(service):
            return None  # they are somebody else's
        pods = endpoints.members(service, self.cache["pods"].list(objects.namespace(service)))
        new = wanted(service, pods)
        if held is None:
            self.api.create("endpoints", new)
        elif (held.get("subsets") or []) != new["subsets"] or objects.labels(held) != objects.labels(new):
            version = held["metadata"]["resourceVersion"]
            self.api.update("endpoints", {**new, "metadata": {**new["metadata"], "resourceVersion": version}})
        return None

    def remove(self, held: dict | None) -> None:
        """Take away the endpoints of a service that is gone; they have no owner that could."""
        if held is None or not MANAGED.items() <= objects.labels(held).items():
            return
        try:
            self.api.delete("endpoints", objects.name(held), objects.namespace(held), uid=objects.uid(held))
        except ApiError as error:
            if error.code != 404:
                raise


def wanted(service: dict, pods: list[dict]) -> dict:
    """Return the Endpoints of a service."""
    members = [pod for pod in pods if not objects.is_deleting(pod) or service["spec"].get("publishNotReadyAddresses")]
    annotations = {endpoints.TRIGGERED: endpoints.triggered(service, pods)}
    if len(members) > MOST:
        annotations[OVER_CAPACITY] = "truncated"
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": objects.name(service),
            "namespace": objects.namespace(service),
            "labels": {**endpoints.labels_of(service), **MANAGED},
            "annotations": annotations,
        },
        "subsets": subsets(service, members[:MOST]),
    }


def subsets(service: dict, pods: list[dict]) -> list[dict]:
    """Return the addresses by the ports at which they serve, ready ones and the others."""
    always = service["spec"].get("publishNotReadyAddresses")
    found: dict[tuple, dict] = {}
    for pod in sorted(pods, key=endpoints.address):
        ports = endpoints.ports(service, pod)
        subset = found.setdefault(ports, {})
        field = "addresses" if always or endpoints.is_ready(pod) else "notReadyAddresses"
        subset.setdefault(field, []).append(_address(service, pod))
    return [{**subset, **({"ports": _ports(ports)} if ports else {})} for ports, subset in found.items()]


def _address(service: dict, pod: dict) -> dict:
    more = {"hostname": endpoints.hostname(service, pod), "nodeName": pod["spec"].get("nodeName")}
    given = {key: value for key, value in more.items() if value}
    return {"ip": endpoints.address(pod), **given, "targetRef": endpoints.reference(pod)}


def _ports(ports: tuple[tuple[str, str, int], ...]) -> list[dict]:
    return [
        {**({"name": name} if name else {}), "port": number, "protocol": protocol} for name, protocol, number in ports
    ]
