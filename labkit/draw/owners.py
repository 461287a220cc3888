"""Who owns whom: workloads, and the pods that they own, by metadata.ownerReferences as the garbage collector reads it.

An arrow leads from an owner to what it owns. Pods of one owner that stand alike are one box; what nobody owns, a pet,
stands alone under its own name. How many pods of a workload are ready is counted here, in the pods of the same look at
the cluster: its own status, a controller's word, comes a moment later.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from labkit.draw.graph import Graph, Node

Object = dict[str, Any]

# In the order in which they are drawn.
RESOURCES = (
    "cronjobs", "deployments", "statefulsets", "daemonsets", "jobs", "replicasets", "replicationcontrollers", "pods",
)  # fmt: skip
REVISION = "deployment.kubernetes.io/revision"


def graph_of(objects: Iterable[Object]) -> Graph:
    """Return the objects as a graph, each below its owners; owners that are not among them are left out."""
    objects = list(objects)
    kinds = list(dict.fromkeys(each["kind"] for each in objects))
    objects.sort(key=lambda each: (kinds.index(each["kind"]), *_order(each)))
    edges = [(owner["uid"], each["metadata"]["uid"]) for each in objects for owner in owners_of(each)]
    ready = ready_below(objects)
    return Graph(tuple(node_of(each, ready[each["metadata"]["uid"]]) for each in objects), tuple(edges))


def ready_below(objects: list[Object]) -> Counter[str]:
    """Count the ready pods that each owner has, its owner too, by UID."""
    owners = {each["metadata"]["uid"]: [owner["uid"] for owner in owners_of(each)] for each in objects}
    counts: Counter[str] = Counter()
    for pod in filter(is_ready, objects):
        above: set[str] = set()  # who owns in a circle is met once
        todo = [*owners[pod["metadata"]["uid"]]]
        while todo:
            uid = todo.pop()
            todo += owners.get(uid, []) if uid not in above else []
            above.add(uid)
        counts.update(above)
    return counts


def owners_of(obj: Object) -> list[dict[str, Any]]:
    """Return the owner references."""
    return obj["metadata"].get("ownerReferences") or []


def node_of(obj: Object, ready: int = 0) -> Node:
    """Return the node of one object, that owns so many ready pods."""
    meta, owners = obj["metadata"], owners_of(obj)
    herd = owners[0]["uid"] if owners and obj["kind"] == "Pod" else ""
    return Node(meta["uid"], obj["kind"], meta["name"], note_of(obj, ready), herd)


def note_of(obj: Object, ready: int = 0) -> str:
    """Say how an object stands, in a few words that are the same on every run."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    match obj["kind"]:
        case "Pod":
            return _pod(obj)
        case "CronJob":
            return spec.get("schedule", "")
        case "Job":
            return f"{status.get('succeeded', 0)} of {spec.get('completions', 1)} succeeded"
        case "DaemonSet":
            return f"{ready} of {status.get('desiredNumberScheduled', 0)} ready"
    of_wanted = f"{ready} of {spec.get('replicas', 1)} ready"
    return f"revision {_revision(obj)} · {of_wanted}" if obj["kind"] == "ReplicaSet" and _revision(obj) else of_wanted


def _pod(pod: Object) -> str:
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    phase = status.get("phase", "Unknown")
    if phase in ("Succeeded", "Failed"):
        return phase
    return f"{phase}, {'ready' if is_ready(pod) else 'not ready'}"


def is_ready(obj: Object) -> bool:
    """Tell whether it is a pod that serves."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return obj["kind"] == "Pod" and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _revision(obj: Object) -> int:
    told = (obj["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(told) if told.isdecimal() else 0


def _order(obj: Object) -> tuple[int, str, str]:
    """Sort by what every run has in common: a name made up by the API server decides only among equals."""
    made_up = obj["metadata"].get("generateName", "")
    return _revision(obj), made_up + note_of(obj) if made_up else "", obj["metadata"]["name"]
