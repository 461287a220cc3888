"""Whether a node takes a pod that was bound to it: the scheduler may have been another, or none, or late. Pure.

A pod that the node does not take has failed: it is not tried elsewhere, and its owner makes another. What is asked here
is what the scheduler asks of a node by itself: room, ports and labels. Left out: taints, on which the node lifecycle
controller acts.

Upstream: pkg/kubelet/lifecycle/predicate.go
"""

from collections import Counter
from collections.abc import Iterable

from labkit.glassbox import node_selector
from labkit.glassbox.kubelet.status import Verdict
from labkit.glassbox.pod_requests import amount, clash, host_ports, requests


def rejection(pod: dict, node: dict, others: Iterable[dict]) -> Verdict | None:
    """Return why the node does not take the pod beside the others that it has taken, or None."""
    others = list(others)
    if why := _no_room(pod, node, others):
        return why
    if not node_selector.accepts(pod, node):
        return _failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    taken = [port for each in others for port in host_ports(each)]
    if any(clash(port, other) for port in host_ports(pod) for other in taken):
        return _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    return None


def withheld(pod: dict, node: dict, others: Iterable[dict]) -> tuple[str, str] | None:
    """Return (reason, message) why the node does not give a resized pod what it wants now, None if it does."""
    if never := _no_room(pod, node, []):
        return "Infeasible", never.message
    now = _no_room(pod, node, list(others))
    return ("Deferred", now.message) if now else None


def _no_room(pod: dict, node: dict, others: list[dict]) -> Verdict | None:
    there = (node.get("status") or {}).get("allocatable") or {}
    used: Counter = Counter(pods=len(others))
    for each in others:
        used.update(requests(each))
    for name, asked in {"pods": 1, **requests(pod)}.items():
        capacity = amount(name, there.get(name, "0"))
        if asked and used[name] + asked > capacity:
            told = f"requested: {asked}, used: {used[name]}, capacity: {capacity}"
            return Verdict(f"OutOf{name}", f"Node didn't have enough resource: {name}, {told}")
    return None


def _failed(predicate: str, why: str) -> Verdict:
    return Verdict(predicate, f"Predicate {predicate} failed: {why}")
