"""Computes a pod's conditions: what it has come to, and why it is not farther. Pure.

A condition of somebody else's (a readiness gate, DisruptionTarget) stays as it is. lastTransitionTime moves only with a
condition's status.

Upstream: pkg/kubelet/status/generate.go
"""

from labkit.glassbox import objects
from labkit.glassbox.kubelet import pods
from labkit.glassbox.kubelet.resizing import PENDING
from labkit.glassbox.kubelet.runtime import Actual

OWN_CONDITIONS = (PENDING, "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def conditions_of(
    pod: dict,
    actual: Actual,
    statuses: list[dict],
    phase: str,
    started: bool,
    now: float,
    pending: tuple[str, str] | None = None,
) -> list[dict]:
    """Return the pod's conditions at `now`, ours first; `statuses` are of all containers, init containers first.

    `pending` is why a resize waits: its condition is there only as long as it does.
    """
    sandbox = actual.sandbox is not None and actual.sandbox.ready
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "")
    all_ready = (False, ended, "") if ended else _containers_ready(pod, statuses)
    found = {
        "PodReadyToStartContainers": (sandbox, "", ""),
        "Initialized": _initialized(pod, statuses, phase, started),
        "Ready": _gates_open(pod) if all_ready[0] else all_ready,
        "ContainersReady": all_ready,
        "PodScheduled": (True, "", ""),
    }
    generation = pod["metadata"].get("generation", 1)
    conditions = [each for each in (pod.get("status") or {}).get("conditions") or [] if each["type"] != PENDING]
    for kind, values in found.items():
        conditions = objects.set_condition(conditions, _condition(kind, *values, generation), now)
    if pending:
        told = {"type": PENDING, "observedGeneration": generation, "status": "True", "lastProbeTime": None}
        since = objects.condition(pod, PENDING) or {}
        why = {"reason": pending[0], "message": pending[1]}
        conditions = objects.set_condition([*conditions, *([since] if since else [])], {**told, **why}, now)
    order = [*found, *(each["type"] for each in conditions)]
    return sorted(conditions, key=lambda each: order.index(each["type"]))


def _containers_ready(pod: dict, statuses: list[dict]) -> tuple[bool, str, str]:
    inits = {each["name"] for each in pods.init_containers(pod) if not pods.is_sidecar(each)}
    unready = [each["name"] for each in statuses if not each["ready"] and each["name"] not in inits]
    return not unready, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"


def _initialized(pod: dict, statuses: list[dict], phase: str, started: bool) -> tuple[bool, str, str]:
    if started:
        return True, "PodCompleted" if phase == "Succeeded" else "", ""
    sidecars = {each["name"] for each in pods.init_containers(pod) if pods.is_sidecar(each)}
    inits = statuses[: len(pods.init_containers(pod))]
    open_ = [each["name"] for each in inits if not each["started" if each["name"] in sidecars else "ready"]]
    return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(open_)}]"


def _gates_open(pod: dict) -> tuple[bool, str, str]:
    closed = []
    for kind in (each["conditionType"] for each in pod["spec"].get("readinessGates") or []):
        condition = objects.condition(pod, kind)
        if condition is None:
            closed.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif condition["status"] != "True":
            closed.append(f'the status of pod readiness gate "{kind}" is not "True", but {condition["status"]}')
    return not closed, "ReadinessGatesNotReady", ", ".join(closed)


def _condition(kind: str, holds: bool, reason: str, message: str, generation: int) -> dict:
    condition = {
        "type": kind,
        "observedGeneration": generation,
        "status": str(holds),
        "lastProbeTime": None,
    }
    keep_reason = not holds or reason == "PodCompleted"
    why = {"reason": reason, "message": message} if keep_reason else {}
    return condition | {key: value for key, value in why.items() if value}
