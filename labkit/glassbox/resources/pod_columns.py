"""What `kubectl get pods` shows: a pod's many states told in one word.

The word is not the phase: it is the reason that a reader needs, the first of: Terminating, an init container's
trouble, a container's trouble, the phase.

Upstream: printPod in pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.glassbox import clock
from labkit.glassbox.resources.columns import AGE, NAME, NONE, at, dig, human_duration
from labkit.glassbox.resources.resource import Column


@dataclass
class Summary:
    """A pod in one line."""

    reason: str
    ready: int = 0
    total: int = 0
    restarts: int = 0
    last_restart: str = ""  # RFC 3339, which sorts as text

    def count_restarts(self, status: dict) -> None:
        self.restarts += status.get("restartCount", 0)
        self.last_restart = max(self.last_restart, dig(status, "lastState.terminated.finishedAt") or "")


def summarize(pod: dict) -> Summary:
    """Return what the columns Ready, Status and Restarts tell."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = {each["name"] for each in spec.get("initContainers") or [] if each.get("restartPolicy") == "Always"}
    summary = Summary(status.get("reason") or status.get("phase", ""))
    summary.total = len(spec.get("containers") or []) + len(sidecars)
    if any(each.get("reason") == "SchedulingGated" for each in status.get("conditions") or []):
        summary.reason = "SchedulingGated"
    initializing = _tell_init_containers(summary, pod, sidecars)
    if not initializing or _holds(status, "Initialized"):
        _tell_containers(summary, status, sidecars)
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            summary.reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            summary.reason = "Terminating"
    return summary


def _tell_init_containers(summary: Summary, pod: dict, sidecars: set[str]) -> bool:
    """Let the first unfinished init container speak; tell whether there is one."""
    count = len(dig(pod, "spec.initContainers") or [])
    for index, each in enumerate(dig(pod, "status.initContainerStatuses") or []):
        summary.count_restarts(each)
        state = each.get("state") or {}
        if "terminated" in state and not state["terminated"].get("exitCode"):
            continue
        if each["name"] in sidecars and each.get("started"):
            summary.ready += bool(each.get("ready"))
            continue
        if "terminated" in state:
            summary.reason = "Init:" + ended(state["terminated"])
        elif dig(state, "waiting.reason") not in (None, "", "PodInitializing"):
            summary.reason = "Init:" + state["waiting"]["reason"]
        else:
            summary.reason = f"Init:{index}/{count}"
        return True
    return False


def _tell_containers(summary: Summary, status: dict, sidecars: set[str]) -> None:
    """Let the first container in trouble speak; restarts of finished init containers no longer count."""
    summary.restarts, summary.last_restart, running = 0, "", False
    for each in status.get("initContainerStatuses") or []:
        if each["name"] in sidecars:
            summary.count_restarts(each)
    for each in reversed(status.get("containerStatuses") or []):
        summary.count_restarts(each)
        state = each.get("state") or {}
        if dig(state, "waiting.reason"):
            summary.reason = state["waiting"]["reason"]
        elif "terminated" in state:
            summary.reason = ended(state["terminated"])
        elif each.get("ready") and "running" in state:
            running = True
            summary.ready += 1
    if summary.reason == "Completed" and running:
        summary.reason = "Running" if _holds(status, "Ready") else "NotReady"


def ended(terminated: dict) -> str:
    """Return why a container ended, in one word."""
    if terminated.get("reason"):
        return terminated["reason"]
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _holds(status: dict, condition: str) -> bool:
    return any(
        each.get("type") == condition and each.get("status") == "True" for each in status.get("conditions") or []
    )


def ready(pod: dict, now: float) -> str:
    summary = summarize(pod)
    return f"{summary.ready}/{summary.total}"


def status(pod: dict, now: float) -> str:
    return summarize(pod).reason


def restarts(pod: dict, now: float) -> str:
    summary = summarize(pod)
    if not summary.restarts or not summary.last_restart:
        return str(summary.restarts)
    return f"{summary.restarts} ({human_duration(now - clock.parse(summary.last_restart))} ago)"


def readiness_gates(pod: dict, now: float) -> str:
    gates = [each["conditionType"] for each in dig(pod, "spec.readinessGates") or []]
    return f"{sum(_holds(pod.get('status') or {}, each) for each in gates)}/{len(gates)}" if gates else NONE


def row_conditions(pod: dict) -> list[dict]:
    """Return how a row tells that its pod is over."""
    phase = dig(pod, "status.phase")
    told = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}.get(phase)
    return [{"type": "Completed", "status": "True", "reason": phase, "message": told}] if told else []


COLUMNS = (
    NAME,
    Column("Ready", ready, description="The aggregate readiness state of this pod for accepting traffic."),
    Column("Status", status, description="The aggregate status of the containers in this pod."),
    Column(
        "Restarts",
        restarts,
        description="The number of times the containers in this pod have been restarted and when the last container"
        " in this pod has restarted.",
    ),
    AGE,
    Column("IP", at("status.podIP", NONE), describes="status.podIP", priority=1),
    Column("Node", at("spec.nodeName", NONE), describes="spec.nodeName", priority=1),
    Column("Nominated Node", at("status.nominatedNodeName", NONE), describes="status.nominatedNodeName", priority=1),
    Column("Readiness Gates", readiness_gates, describes="spec.readinessGates", priority=1),
)
