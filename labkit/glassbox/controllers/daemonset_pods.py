"""Where the pods of a daemon set belong, and what they get beyond the template: pure functions over dicts.

A daemon's pod is bound to its node by node affinity (metadata.name), so that the scheduler places it as it does any
other; and it tolerates what drives other pods off: it is there for the node's sake.

Upstream: pkg/controller/daemon/daemon_controller.go (NodeShouldRunDaemonPod), …/util/daemonset_util.go
"""

from __future__ import annotations

from labkit.glassbox import node_selector, objects
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.history import POD_LABEL
from labkit.glassbox.taints import is_tolerated

GENERATION = "deprecated.daemonset.template.generation"
TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


def pod_for(ds: dict, node: str, digest: str = "") -> dict:
    """Return the set's pod for a node, of the template whose hash is `digest`."""
    pod = podutil.from_template(ds, ds["spec"]["template"])
    labels = {**objects.labels(pod), POD_LABEL: digest}
    if generation := objects.annotations(ds).get(GENERATION):
        labels["pod-template-generation"] = generation
    spec = {**pod["spec"], "affinity": bound_to(node, pod), "tolerations": tolerations(pod["spec"])}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}, "spec": spec}


def tolerations(spec: dict) -> list[dict]:
    """Return the template's tolerations and a daemon's own; who uses the node's network needs none of its own."""
    own = [*TOLERATED, *([("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else [])]
    wanted = [{"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect} for key, effect in own]
    given = spec.get("tolerations") or []
    return [*given, *(each for each in wanted if each not in given)]


def bound_to(node: str, pod: dict) -> dict:
    """Return the pod's affinity with each alternative of its node affinity held to the one node."""
    field = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    required = node_selector.required_affinity(pod) or {"nodeSelectorTerms": [{}]}
    terms = [{**term, "matchFields": field} for term in required["nodeSelectorTerms"]]
    affinity = pod["spec"].get("affinity") or {}
    here = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {**affinity, "nodeAffinity": {**(affinity.get("nodeAffinity") or {}), **here}}


def node_of(pod: dict) -> str:
    """Return the node that the pod is on or meant for, "" when nothing says."""
    if on := pod["spec"].get("nodeName"):
        return on
    required = node_selector.required_affinity(pod) or {"nodeSelectorTerms": []}
    fields = [field for term in required["nodeSelectorTerms"] for field in term.get("matchFields") or []]
    return next((field["values"][0] for field in fields if field["key"] == "metadata.name"), "")


def belongs(ds: dict, node: dict) -> tuple[bool, bool]:
    """Tell whether a pod of the set shall be started on the node, and whether one that is there may stay."""
    pod = pod_for(ds, objects.name(node))
    if pod["spec"].get("nodeName") not in (None, "", objects.name(node)) or not node_selector.accepts(pod, node):
        return False, False
    repelled = {each["effect"] for each in node["spec"].get("taints") or [] if not is_tolerated(pod, each)}
    return not repelled & {"NoSchedule", "NoExecute"}, "NoExecute" not in repelled
