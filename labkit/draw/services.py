"""Services and the pods behind them: an arrow leads to each endpoint that gets new connections.

Read from EndpointSlices, as kube-proxy does: a pod that a selector picks but that is not ready stands apart.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from labkit.draw.graph import Graph, Node
from labkit.draw.owners import owners_of

Object = dict[str, Any]

SERVICE = "kubernetes.io/service-name"
APART = "selected, not ready: gets nothing"


def graph_of(services: Iterable[Object], slices: Iterable[Object], pods: Iterable[Object]) -> Graph:
    """Return the services, and below each the pods that its slices name."""
    by_name = {each["metadata"]["name"]: each["metadata"]["uid"] for each in services}
    ready: dict[str, list[str]] = defaultdict(list)
    for each in slices:
        service = by_name.get((each["metadata"].get("labels") or {}).get(SERVICE, ""))
        for endpoint in each.get("endpoints") or []:
            pod = (endpoint.get("targetRef") or {}).get("uid")
            if service and pod:
                ready[pod] += [service] if (endpoint.get("conditions") or {}).get("ready", True) else []
    shown = [_pod(each, ready[each["metadata"]["uid"]]) for each in pods if each["metadata"]["uid"] in ready]
    nodes = (*(_service(each) for each in services), *sorted(shown, key=lambda node: (node.note, node.name)))
    return Graph(nodes, tuple((service, pod) for pod, found in ready.items() for service in dict.fromkeys(found)))


def note_of(service: Object) -> str:
    """Say which kind of service it is and where it answers; addresses differ from run to run and are left out."""
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        return f"ExternalName → {spec['externalName']}"
    kind = "headless" if spec.get("clusterIP") == "None" else spec["type"]
    ports = ", ".join(f"{port['port']} → {port.get('targetPort', port['port'])}" for port in spec.get("ports") or [])
    sticky = " · sticky" if spec.get("sessionAffinity") == "ClientIP" else ""
    return f"{kind}{f' · port {ports}' if ports else ''}{sticky}"


def _service(service: Object) -> Node:
    return Node(service["metadata"]["uid"], "Service", service["metadata"]["name"], note_of(service))


def _pod(pod: Object, services: list[str]) -> Node:
    meta, owners = pod["metadata"], owners_of(pod)
    note = "ready" if services else APART
    return Node(meta["uid"], "Pod", meta["name"], note, herd=owners[0]["uid"] if owners else "")
