"""Nodes and the pods that run on them; a pod that has no node hangs on none."""

from collections.abc import Iterable
from typing import Any

from labkit.draw.graph import Graph, Node
from labkit.draw.owners import owners_of

Object = dict[str, Any]


def graph_of(nodes: Iterable[Object], pods: Iterable[Object]) -> Graph:
    """Return the nodes, and below each its pods."""
    by_name = {each["metadata"]["name"]: _node(each) for each in nodes}
    shown = [(_pod(each), each["spec"].get("nodeName", "")) for each in pods]
    edges = tuple((by_name[node].key, pod.key) for pod, node in shown if node in by_name)
    return Graph((*by_name.values(), *sorted((pod for pod, _ in shown), key=lambda each: each.name)), edges)


def _node(node: Object) -> Node:
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions") or []}
    words = ["Ready" if conditions.get("Ready") == "True" else "NotReady"]
    words += ["cordoned"] if node["spec"].get("unschedulable") else []
    return Node(node["metadata"]["uid"], "Node", node["metadata"]["name"], " · ".join(words))


def _pod(pod: Object) -> Node:
    meta, owners = pod["metadata"], owners_of(pod)
    phase = "Terminating" if meta.get("deletionTimestamp") else pod["status"].get("phase", "Pending")
    return Node(meta["uid"], "Pod", meta["name"], phase, herd=owners[0]["uid"] if owners else "")
