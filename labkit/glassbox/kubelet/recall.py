"""Remembers containers that only the API still knows: the machine went down and took its own records with it.

Pure. Without this a pod that had run, and must not run twice, would run again after `down` and `up`, and restart counts
would begin anew. A container that had ended is taken as it ended; one that ran is lost.

Upstream: pkg/kubelet/kubelet_pods.go (convertToAPIContainerStatuses: ContainerStatusUnknown)
"""

from labkit.glassbox import clock
from labkit.glassbox.kubelet.runtime import Actual, Container

LOST = "The container could not be located when the pod was terminated"


def recall(pod: dict, actual: Actual, now: float) -> Actual:
    """Return what the runtime knows, and for containers that it knows nothing of what the pod's status says."""
    status = pod.get("status") or {}
    known = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    lost = {each["name"]: (_container(each, now),) for each in known if each.get("containerID")}
    return Actual(actual.sandbox, {**lost, **actual.containers})


def _container(status: dict, now: float) -> Container:
    state = status.get("state") or {}
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    if "running" in state or not ended:
        started = (state.get("running") or {}).get("startedAt") or clock.rfc3339(now)
        ended = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": LOST, "startedAt": started}
    return Container(
        name=status["name"],
        attempt=status.get("restartCount", 0),
        id=status["containerID"].rpartition("/")[2],
        image=status.get("image", ""),
        image_id=status.get("imageID", ""),
        log="",
        started_at=clock.parse(ended["startedAt"]) if ended.get("startedAt") else now,
        finished_at=clock.parse(ended["finishedAt"]) if ended.get("finishedAt") else now,
        exit_code=ended["exitCode"],
        reason=ended.get("reason", ""),
        message=ended.get("message", ""),
    )
