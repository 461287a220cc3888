"""What controllers ask of a pod: pure functions.

Upstream: pkg/api/v1/pod/util.go, pkg/controller/controller_utils.go (ActivePodsWithRanks)
"""

from __future__ import annotations

from collections import Counter

from labkit.glassbox import clock, objects


def from_template(owner: dict, template: dict) -> dict:
    """Return a pod of the owner, as the template describes it, with a name that the API server completes."""
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{objects.name(owner)}-",
            "namespace": objects.namespace(owner),
            **{field: metadata[field] for field in ("labels", "annotations", "finalizers") if metadata.get(field)},
            "ownerReferences": [objects.owner_reference(owner, owner["kind"], owner["apiVersion"])],
        },
        "spec": template["spec"],
    }


def phase(pod: dict) -> str:
    return (pod.get("status") or {}).get("phase", "")


def has_not_ended(pod: dict) -> bool:
    return phase(pod) not in ("Succeeded", "Failed")


def is_active(pod: dict) -> bool:
    """Tell whether the pod runs or will: it has not ended and is not being deleted."""
    return has_not_ended(pod) and not objects.is_deleting(pod)


def is_terminating(pod: dict) -> bool:
    """Tell whether the pod is being deleted and has not ended yet."""
    return has_not_ended(pod) and objects.is_deleting(pod)


def min_ready(owner: dict) -> int:
    """Return for how many seconds a pod must be ready before it counts as available."""
    return owner["spec"].get("minReadySeconds", 0)


def ready_since(pod: dict) -> float | None:
    """Return when the pod became ready, in seconds since the epoch, or None when it is not."""
    condition = objects.condition(pod, "Ready")
    if condition is None or condition["status"] != "True":
        return None
    return clock.parse(condition["lastTransitionTime"])


def is_available(pod: dict, min_ready_seconds: int, now: float) -> bool:
    """Tell whether the pod has been ready for long enough."""
    since = ready_since(pod)
    return since is not None and (min_ready_seconds == 0 or since + min_ready_seconds <= now)


def until_available(pods: list[dict], min_ready_seconds: int, now: float) -> float | None:
    """Return the seconds until the next ready pod becomes available, None when none is waited for."""
    if not min_ready_seconds:
        return None
    waits = [since + min_ready_seconds - now for pod in pods if (since := ready_since(pod)) is not None]
    return min((wait for wait in waits if wait > 0), default=None)


def restarts(pod: dict) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return max((status["restartCount"] for status in statuses), default=0)


def least_missed(pods: list[dict]) -> list[dict]:
    """Return the pods in the order in which a replica set gives them up.

    Unassigned before assigned, pending before running, not ready before ready, a cheaper deletion cost before a dearer,
    a node with more of them before one with fewer, ready for a shorter time before longer, more restarts before fewer,
    younger before older.
    """
    crowd = Counter(pod["spec"].get("nodeName", "") for pod in pods)

    def rank(pod: dict) -> tuple:
        since = ready_since(pod)
        return (
            bool(pod["spec"].get("nodeName")),
            {"Pending": 0, "Unknown": 1, "": 0}.get(phase(pod), 2),
            since is not None,
            deletion_cost(pod),
            -crowd[pod["spec"].get("nodeName", "")],
            -(since or 0),
            -restarts(pod),
            -clock.parse(pod["metadata"]["creationTimestamp"]),
        )

    return sorted(pods, key=rank)


def deletion_cost(pod: dict) -> int:
    try:
        return int(objects.annotations(pod).get("controller.kubernetes.io/pod-deletion-cost", "0"))
    except ValueError:
        return 0
