"""Which nodes can take a pod at all: each filter says why not, in the words that people read in events.

A filter is (pod, node) → reasons. A reason that no deletion of other pods could change is unresolvable. What a pod may
ask for and nothing here looks at is named by `unimplemented`: such a pod is not scheduled, rather than scheduled as if
it had not asked.

Upstream: pkg/scheduler/framework/plugins
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.glassbox import node_selector, objects
from labkit.glassbox.scheduler.nodes import NodeInfo, host_ports, requests
from labkit.glassbox.taints import is_tolerated


@dataclass(frozen=True)
class Reason:
    """Why a node does not fit."""

    text: str
    resolvable: bool = False


Filter = Callable[[dict, NodeInfo], Iterator[Reason]]


def node_unschedulable(pod: dict, info: NodeInfo) -> Iterator[Reason]:
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if info.node["spec"].get("unschedulable") and not is_tolerated(pod, taint):
        yield Reason("node(s) were unschedulable")


def node_name(pod: dict, info: NodeInfo) -> Iterator[Reason]:
    wanted = pod["spec"].get("nodeName")
    if wanted and wanted != objects.name(info.node):
        yield Reason("node(s) didn't match the requested node name")


def taints(pod: dict, info: NodeInfo) -> Iterator[Reason]:
    for taint in info.node["spec"].get("taints") or []:
        if taint["effect"] in ("NoSchedule", "NoExecute") and not is_tolerated(pod, taint):
            yield Reason("node(s) had untolerated taint(s)")
            return


def node_affinity(pod: dict, info: NodeInfo) -> Iterator[Reason]:
    if not node_selector.accepts(pod, info.node):
        yield Reason("node(s) didn't match Pod's node affinity/selector")


def node_ports(pod: dict, info: NodeInfo) -> Iterator[Reason]:
    if host_ports(pod) & info.ports:
        yield Reason("node(s) didn't have free ports for the requested pod ports", resolvable=True)


def resources(pod: dict, info: NodeInfo) -> Iterator[Reason]:
    if len(info.pods) + 1 > info.allocatable("pods"):
        yield Reason("Too many pods", resolvable=True)
    for name, wanted in requests(pod).items():
        allocatable = info.allocatable(name)
        if wanted and wanted > allocatable - info.requested[name]:
            yield Reason(f"Insufficient {name}", resolvable=wanted <= allocatable)


FILTERS: tuple[Filter, ...] = (node_unschedulable, node_name, taints, node_affinity, node_ports, resources)


def why_not(pod: dict, info: NodeInfo) -> list[Reason]:
    """Return the first filter's reasons against a node; none means that it fits."""
    for each in FILTERS:
        if reasons := list(each(pod, info)):
            return reasons
    return []


def unimplemented(pod: dict) -> list[str]:
    """Name what the pod requires of its node and nothing here looks at."""
    return list(_unimplemented(pod["spec"]))


def _unimplemented(spec: dict) -> Iterator[str]:
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        if (affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution"):
            yield kind
    if any(each["whenUnsatisfiable"] == "DoNotSchedule" for each in spec.get("topologySpreadConstraints") or []):
        yield "topologySpreadConstraints"
    if any("persistentVolumeClaim" in each or "ephemeral" in each for each in spec.get("volumes") or []):
        yield "persistentVolumeClaim volumes"
    if spec.get("resourceClaims"):
        yield "resourceClaims"
