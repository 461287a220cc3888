"""Which pods stand behind a service, and at which ports: for EndpointSlices and for Endpoints.

Upstream: staging/src/k8s.io/endpointslice/utils.go, pkg/controller/endpoint/endpoints_controller.go
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.glassbox import clock, objects
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.informer import Informer

TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time"
HEADLESS = "service.kubernetes.io/headless"


def has_endpoints(service: dict) -> bool:
    """Tell whether the service's endpoints are for a controller to find: it has a selector and is no alias."""
    return bool(service["spec"].get("selector")) and service["spec"].get("type") != "ExternalName"


def selects(service: dict, pod: dict) -> bool:
    same = objects.namespace(service) == objects.namespace(pod)
    return same and service["spec"]["selector"].items() <= objects.labels(pod).items()


def members(service: dict, pods: list[dict]) -> list[dict]:
    """Return the pods that the service selects and that have an address; those that are ending, too."""
    found = [pod for pod in pods if selects(service, pod) and podutil.has_not_ended(pod) and address(pod)]
    return sorted(found, key=address)


def address(pod: dict) -> str:
    return (pod.get("status") or {}).get("podIP", "")


def is_ready(pod: dict) -> bool:
    return objects.is_true(pod, "Ready")


def ports(service: dict, pod: dict) -> tuple[tuple[str, str, int], ...]:
    """Return name, protocol and number of the ports at which the pod serves the service."""
    found = []
    for port in service["spec"].get("ports") or []:
        number = target_port(port, pod)
        if number is not None:
            found.append((port.get("name", ""), port.get("protocol", "TCP"), number))
    return tuple(found)


def target_port(port: dict, pod: dict) -> int | None:
    """Return the pod's port that a service's port means; a name is looked up among the containers' ports."""
    wanted, protocol = port.get("targetPort", port["port"]), port.get("protocol", "TCP")
    if isinstance(wanted, int):
        return wanted or port["port"]
    sidecars = [each for each in pod["spec"].get("initContainers") or [] if each.get("restartPolicy") == "Always"]
    for container in [*pod["spec"]["containers"], *sidecars]:
        for each in container.get("ports") or []:
            if each.get("name") == wanted and each.get("protocol", "TCP") == protocol:
                return each["containerPort"]
    return None


def hostname(service: dict, pod: dict) -> str:
    """Return the name under which DNS knows the pod within the service, "" for none."""
    in_it = pod["spec"].get("subdomain") == objects.name(service)
    return pod["spec"].get("hostname", "") if in_it else ""


def reference(pod: dict) -> dict:
    return {
        "kind": "Pod",
        "namespace": objects.namespace(pod),
        "name": objects.name(pod),
        "uid": objects.uid(pod),
    }


def triggered(service: dict, pods: list[dict]) -> str:
    """Return when that last changed which the endpoints follow: the service's or a pod's readiness."""
    times = [clock.parse(service["metadata"]["creationTimestamp"])]
    conditions = [found for pod in pods if (found := objects.condition(pod, "Ready"))]
    times += [clock.parse(each["lastTransitionTime"]) for each in conditions if each.get("lastTransitionTime")]
    return clock.rfc3339(max(times))


def labels_of(service: dict) -> dict[str, str]:
    """Return the labels that the endpoints have from their service."""
    headless = {HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
    return {**objects.labels(service), **headless}


class Memberships:
    """The services that a pod's change concerns: those that select it now, and those that did when it last changed."""

    def __init__(self, cache: Mapping[str, Informer]) -> None:
        self.cache = cache
        self.known: dict[str, set[str]] = {}  # by the pod's UID

    def __call__(self, pod: dict) -> set[str]:
        services = self.cache["services"].list(objects.namespace(pod))
        now = {objects.key(each) for each in services if has_endpoints(each) and selects(each, pod)}
        before = self.known.pop(objects.uid(pod), set())
        held = self.cache["pods"].get(objects.key(pod))
        if now and held is not None and objects.uid(held) == objects.uid(pod):
            self.known[objects.uid(pod)] = now
        return now | before
