"""The next step of a stateful set, and what its status says: pure functions over dicts.

OrderedReady: pods are made from the lowest ordinal, each when the one before is available, and given up from the
highest, one at a time. Parallel: all at once. An update, in either, replaces pods from the highest ordinal down to
`partition`, each when the one above is available again.

Left out: rollingUpdate.maxUnavailable, which 1.36 has switched off by default.

Upstream: pkg/controller/statefulset/stateful_set_control.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.history import POD_LABEL
from labkit.glassbox.controllers.statefulset_pods import ordinal_of, ordinals

Step = tuple[list[int], list[dict]]  # ordinals to make pods of, pods to delete
WAIT: Step = ([], [])


def plan(sts: dict, pods: list[dict], update: str, now: float) -> Step:
    """Return the next step, an empty one to wait; scaling comes before updating to the revision named `update`."""
    found = {ordinal: pod for pod in pods if (ordinal := ordinal_of(sts, pod)) is not None}
    ours = {ordinal: found.get(ordinal) for ordinal in ordinals(sts)}
    surplus = [found[each] for each in sorted(found.keys() - ours.keys(), reverse=True)]
    if sts["spec"].get("podManagementPolicy") == "Parallel":
        step = at_once(ours, surplus)
    else:
        step = in_order(sts, ours, surplus, now)
    return next_to_update(sts, ours, update, now) if step is None else step


def at_once(ours: dict[int, dict | None], surplus: list[dict]) -> Step | None:
    going = [pod for pod in ours.values() if pod and not podutil.has_not_ended(pod)] + surplus
    make = [ordinal for ordinal, pod in ours.items() if pod is None]
    delete = [pod for pod in going if not objects.is_deleting(pod)]
    return (make, delete) if make or delete else None


def in_order(sts: dict, ours: dict[int, dict | None], surplus: list[dict], now: float) -> Step | None:
    for ordinal, pod in ours.items():
        if pod is None:
            return [ordinal], []
        if not podutil.has_not_ended(pod) and not objects.is_deleting(pod):
            return [], [pod]
        if not is_healthy(sts, pod, now):
            return WAIT
    if not surplus:
        return None
    highest, *lower = surplus
    # A broken pod may go if none below it is broken too: the lower one blocks, as it does on the way up.
    is_blocked = not is_healthy(sts, highest, now) and not all(is_healthy(sts, pod, now) for pod in lower)
    return WAIT if objects.is_deleting(highest) or is_blocked else ([], [highest])


def next_to_update(sts: dict, ours: dict[int, dict | None], update: str, now: float) -> Step:
    strategy = sts["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return WAIT
    for ordinal in reversed(ordinals(sts)[partition(sts) :]):
        pod = ours[ordinal]
        if pod and revision_of(pod) != update and not objects.is_deleting(pod):
            return [], [pod]
        if not is_healthy(sts, pod, now):
            return WAIT
    return WAIT


def partition(sts: dict) -> int:
    """Return how many pods, from the lowest ordinal, keep the old revision."""
    return ((sts["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)


def is_healthy(sts: dict, pod: dict | None, now: float) -> bool:
    """Tell whether the pod is there to stay and has been ready for long enough."""
    if pod is None or objects.is_deleting(pod):
        return False
    return podutil.is_available(pod, podutil.min_ready(sts), now)


def revision_of(pod: dict) -> str:
    return objects.labels(pod).get(POD_LABEL, "")


def status_of(sts: dict, pods: list[dict], current: str, update: str, collisions: int, now: float) -> dict:
    """Return the status; when every pod is of the updated revision, that becomes the current one."""
    ready = [pod for pod in pods if objects.is_true(pod, "Ready")]
    staying = [revision_of(pod) for pod in pods if not objects.is_deleting(pod)]
    wanted, updated = sts["spec"].get("replicas", 1), staying.count(update)
    is_rolling = (sts["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"
    if is_rolling and len(pods) == len(ready) == updated == wanted:
        current = update
    counts = {"readyReplicas": len(ready), "currentReplicas": staying.count(current), "updatedReplicas": updated}
    return {
        "observedGeneration": sts["metadata"].get("generation", 0),
        "replicas": len(pods),
        **{key: count for key, count in counts.items() if count},
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
        "availableReplicas": sum(podutil.is_available(pod, podutil.min_ready(sts), now) for pod in ready),
    }
