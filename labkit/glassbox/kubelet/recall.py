"""Remembers containers that only the API still knows: the machine went down and took its own records with it.

Pure. Without this a pod that had run, and must not run twice, would run again after `down` and `up`, and restart counts
would begin anew. A container that had ended is taken as it ended; one that ran is lost.

Upstream: pkg/kubelet/kubelet_pods.go (convertToAPIContainerStatuses: ContainerStatusUnknown)
"""

from labkit.glassbox import clock
from labkit.glassbox.kubelet import pods
from labkit.glassbox.kubelet.runtime import Actual, Container

LOST = "The container could not be located when the pod was terminated"


def recall(pod: dict, actual: Actual, now: float) -> Actual:
    """Return what the runtime knows, preceded by what only the pod's status still tells of its containers."""
    status = pod.get("status") or {}
    told = [each for kind in pods.STATUSES for each in status.get(kind) or []]
    found = dict(actual.containers)
    for each in told:
        known = found.get(each["name"], ())
        past = [old for old in _attempts(each, now) if not known or old.attempt < known[0].attempt]
        if past or known:
            found[each["name"]] = (*past, *known)
    return Actual(actual.sandbox, found)


def _attempts(status: dict, now: float) -> list[Container]:
    """Return the last two attempts that a container's status tells of, the older first."""
    count, state, last = status.get("restartCount", 0), status.get("state") or {}, status.get("lastState") or {}
    ended = last.get("terminated")
    if not status.get("containerID"):
        return []
    if "waiting" in state:  # backing off: the last attempt is the one that ended
        return [_container(status, ended, count, now)] if ended else []
    if "running" in state:
        started = state["running"].get("startedAt") or clock.rfc3339(now)
        lost = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": LOST, "startedAt": started}
    else:
        lost = state.get("terminated") or {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": LOST}
    return [*([_container(status, ended, count - 1, now)] if ended else []), _container(status, lost, count, now)]


def _container(status: dict, ended: dict, attempt: int, now: float) -> Container:
    return Container(
        name=status["name"],
        attempt=attempt,
        id=ended.get("containerID", status["containerID"]).rpartition("/")[2],
        image=status.get("image", ""),
        image_id=status.get("imageID", ""),
        log="",
        started_at=clock.parse(ended["startedAt"]) if ended.get("startedAt") else now,
        finished_at=clock.parse(ended["finishedAt"]) if ended.get("finishedAt") else now,
        exit_code=ended["exitCode"],
        reason=ended.get("reason", ""),
        message=ended.get("message", ""),
    )
