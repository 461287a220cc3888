"""Which nodes can take a pod at all: each filter says why not, in the words that people read in events.

A filter is (cycle, node) → reasons. A reason that no deletion of other pods could change is not resolvable. What a pod
may ask for and nothing here looks at is named by `unimplemented`: such a pod is not scheduled, rather than scheduled as
if it had not asked.

Upstream: pkg/scheduler/framework/plugins
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labkit.glassbox import node_selector
from labkit.glassbox.pod_requests import clash, host_ports, requests
from labkit.glassbox.scheduler.cycle import Cycle
from labkit.glassbox.scheduler.interpod import inter_pod_affinity
from labkit.glassbox.scheduler.nodes import NodeInfo
from labkit.glassbox.scheduler.reasons import Reason
from labkit.glassbox.scheduler.spread import topology_spread
from labkit.glassbox.scheduler.volumes import volume_binding, volume_restrictions
from labkit.glassbox.taints import is_tolerated, untolerated

Filter = Callable[[Cycle, NodeInfo], Iterator[Reason]]


def node_unschedulable(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if info.node["spec"].get("unschedulable") and not is_tolerated(cycle.pod, taint):
        yield Reason("node(s) were unschedulable")


def node_name(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    wanted = cycle.pod["spec"].get("nodeName")
    if wanted and wanted != info.name:
        yield Reason("node(s) didn't match the requested node name")


def taints(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    if untolerated(cycle.pod, info.node):
        yield Reason("node(s) had untolerated taint(s)")


def node_affinity(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    if not node_selector.accepts(cycle.pod, info.node):
        yield Reason("node(s) didn't match Pod's node affinity/selector")


def node_ports(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    if any(clash(wanted, taken) for wanted in host_ports(cycle.pod) for taken in info.ports):
        yield Reason("node(s) didn't have free ports for the requested pod ports", resolvable=True)


def resources(cycle: Cycle, info: NodeInfo) -> Iterator[Reason]:
    if len(info.pods) + 1 > info.allocatable("pods"):
        yield Reason("Too many pods", resolvable=True)
    for name, wanted in cycle.once(_requests).items():
        allocatable = info.allocatable(name)
        if wanted and wanted > allocatable - info.requested[name]:
            yield Reason(f"Insufficient {name}", resolvable=wanted <= allocatable)


def _requests(cycle: Cycle) -> dict[str, int]:
    return requests(cycle.pod)


FILTERS: tuple[Filter, ...] = (
    node_unschedulable,
    node_name,
    taints,
    node_affinity,
    node_ports,
    resources,
    volume_restrictions,
    volume_binding,
    topology_spread,
    inter_pod_affinity,
)


def why_not(cycle: Cycle, info: NodeInfo) -> list[Reason]:
    """Return the first filter's reasons against a node; none means that it fits."""
    for each in FILTERS:
        if reasons := list(each(cycle, info)):
            return reasons
    return []


def unimplemented(pod: dict) -> list[str]:
    """Name what the pod requires of its node and nothing here looks at."""
    return ["resourceClaims"] if pod["spec"].get("resourceClaims") else []
