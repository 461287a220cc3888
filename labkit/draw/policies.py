"""Who may speak to whom: each NetworkPolicy between those whom its rules list and the pods that it selects.

Arrows run as packets do: into the selected pods for ingress, out of them for egress. A rule without peers lists anyone;
a policy without rules lists nobody. Pods are those of the namespace now.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from labkit.draw.graph import Graph, Node

Object = dict[str, Any]
SIGNS = {"In": "in", "NotIn": "notin"}


def graph_of(policies: Iterable[Object], pods_of: Callable[[str], list[str]]) -> Graph:
    """Return the policies as a graph; `pods_of` names the pods that a label selector picks."""
    parts = [_part(policy, way, pods_of) for policy in policies for way in policy["spec"].get("policyTypes", [])]
    nodes = {node.key: node for part, _ in parts for node in part}
    return Graph(tuple(nodes.values()), tuple(dict.fromkeys(edge for _, edges in parts for edge in edges)))


def _part(policy: Object, way: str, pods_of: Callable[[str], list[str]]) -> tuple[list[Node], list[tuple[str, str]]]:
    spec, name = policy["spec"], policy["metadata"]["name"]
    rules = spec.get(way.lower()) or []
    peers = [Node(f"{way} {text}", "Peer", text) for text in dict.fromkeys(_peers(rules, way))]
    selected = [Node(f"{way} pod {each}", "Pod", each) for each in pods_of(selector_text(spec["podSelector"]))]
    ports = ", ".join(dict.fromkeys(_ports(rules)))
    note = f"{way.lower()}: {ports or 'all ports'}" if rules else f"{way.lower()}: nobody"
    middle = Node(f"{way} {name}", "NetworkPolicy", name, note)
    left, right = (peers, selected) if way == "Ingress" else (selected, peers)
    edges = [(each.key, middle.key) for each in left] + [(middle.key, each.key) for each in right]
    return [*left, middle, *right], edges


def _peers(rules: list[Object], way: str) -> Iterator[str]:
    for rule in rules:
        yield from [_peer(peer) for peer in rule.get("from" if way == "Ingress" else "to") or []] or ["anyone"]


def _peer(peer: Object) -> str:
    if block := peer.get("ipBlock"):
        return " but not ".join([block["cidr"], *([", ".join(block["except"])] if block.get("except") else [])])
    pods, spaces = (peer.get(key) for key in ("podSelector", "namespaceSelector"))
    words = ["pods", selector_text(pods or {})]
    return " ".join(
        filter(None, words if spaces is None else [*words, "of namespaces", selector_text(spaces) or "all"])
    )


def _ports(rules: list[Object]) -> Iterator[str]:
    for port in (port for rule in rules for port in rule.get("ports") or []):
        last = f"-{port['endPort']}" if port.get("endPort") else ""
        yield f"{port.get('protocol', 'TCP')} {port.get('port', 'all')}{last}"


def selector_text(selector: Object) -> str:
    """Write a label selector as kubectl -l takes it."""
    equal = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    return ",".join([*equal, *(_expression(each) for each in selector.get("matchExpressions") or [])])


def _expression(each: Object) -> str:
    key, sign = each["key"], each["operator"]
    if sign in SIGNS:
        return f"{key} {SIGNS[sign]} ({','.join(each['values'])})"
    return key if sign == "Exists" else f"!{key}"
