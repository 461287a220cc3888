"""Computes a pod's status: pure, the pod and what runs in, the status that kubectl shows out.

Reasons and messages are upstream's, for scripts and people read them. Container states come from the runtime; what
keeps a container from starting, which only the kubelet knows, is handed in as `waiting`.

Invariants: a pod that has ended stays so; lastTransitionTime moves only with a condition's status.
Left out: probes (a running container is ready), readiness gates, allocated resources.

Upstream: pkg/kubelet/kubelet_pods.go (generateAPIPodStatus), pkg/kubelet/status/generate.go
"""

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.glassbox import clock, objects
from labkit.glassbox.kubelet import actions, pods
from labkit.glassbox.kubelet.runtime import Actual, Container


@dataclass(frozen=True)
class Waiting:
    """Why a container does not run yet."""

    reason: str
    message: str = ""


def status_of(pod: dict, actual: Actual, waiting: Mapping[str, Waiting], node_ip: str, now: float) -> dict:
    """Return the pod's status at `now` (seconds since the epoch)."""
    old = pod.get("status") or {}
    started = actions.initialized(pod, actual)
    idle = Waiting("ContainerCreating" if started else "PodInitializing")
    init_idle = Waiting("PodInitializing")
    inits = [_container(pod, each, actual, waiting.get(each["name"], init_idle)) for each in pods.init_containers(pod)]
    mains = [_container(pod, each, actual, waiting.get(each["name"], idle)) for each in pods.containers(pod)]
    phase = old["phase"] if pods.is_finished(pod) else phase_of(pod, inits, mains, started)
    status = {
        "observedGeneration": pod["metadata"].get("generation", 1),
        "phase": phase,
        "conditions": _conditions(pod, actual, mains, phase, started, now),
        "hostIP": node_ip,
        "hostIPs": [{"ip": node_ip}],
        "startTime": old.get("startTime") or clock.rfc3339(now),
        "containerStatuses": mains,
    }
    if inits:
        status["initContainerStatuses"] = inits
    if actual.sandbox:
        status |= {"podIP": actual.sandbox.address, "podIPs": [{"ip": actual.sandbox.address}]}
    return {**{key: old[key] for key in ("qosClass", "reason", "message") if key in old}, **status}


def phase_of(pod: dict, inits: list[dict], mains: list[dict], started: bool) -> str:
    """Sum up the containers' states in one word."""
    policy = pods.restart_policy(pod)
    if not started:
        failed = any(_exit_code(each) not in (None, 0) for each in inits)
        return "Failed" if failed and policy == "Never" else "Pending"
    if any("waiting" in each["state"] and "terminated" not in each["lastState"] for each in mains):
        return "Pending"
    if any("running" in each["state"] for each in mains) or policy == "Always":
        return "Running"
    codes = [_exit_code(each) for each in mains]
    if all(code == 0 for code in codes):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _exit_code(status: dict) -> int | None:
    ended = status["state"].get("terminated") or status["lastState"].get("terminated")
    return ended["exitCode"] if ended else None


def _container(pod: dict, spec: dict, actual: Actual, waiting: Waiting) -> dict:
    attempts = actual.containers.get(spec["name"], ())
    last = attempts[-1] if attempts else None
    before = attempts[-2] if len(attempts) > 1 else None
    backing_off = waiting.reason not in ("ContainerCreating", "PodInitializing")
    if last is None or (backing_off and not last.running):
        state, before = _waiting(waiting), last
    else:
        state = _state(last)
    running = "running" in state
    is_init = any(each is spec for each in pods.init_containers(pod))
    status = {
        "name": spec["name"],
        "state": state,
        "lastState": _state(before) if before else {},
        "ready": _exit_code({"state": state, "lastState": {}}) == 0 if is_init else running,
        "restartCount": last.attempt if last else 0,
        "image": last.image if last else spec["image"],
        "imageID": last.image_id if last else "",
        "started": running,
    }
    if last:
        status |= {"containerID": f"glassbox://{last.id}", "resources": spec.get("resources") or {}}
        status["user"] = {"linux": {"uid": 0, "gid": 0, "supplementalGroups": [0]}}
    if mounts := spec.get("volumeMounts"):
        status["volumeMounts"] = [_mount(each) for each in mounts]
    return status


def _mount(mount: dict) -> dict:
    shown = {"name": mount["name"], "mountPath": mount["mountPath"]}
    return shown | {"readOnly": True, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else shown


def _waiting(waiting: Waiting) -> dict:
    shown = {"reason": waiting.reason, "message": waiting.message}
    return {"waiting": {key: value for key, value in shown.items() if value}}


def _state(container: Container) -> dict:
    if container.running:
        return {"running": {"startedAt": clock.rfc3339(container.started_at)}}
    ended = {
        "exitCode": container.exit_code,
        "reason": container.reason,
        "message": container.message,
        "startedAt": clock.rfc3339(container.started_at),
        "finishedAt": clock.rfc3339(container.finished_at or container.started_at),
        "containerID": f"glassbox://{container.id}",
    }
    return {"terminated": {key: value for key, value in ended.items() if value != ""}}


def _conditions(pod: dict, actual: Actual, mains: list[dict], phase: str, started: bool, now: float) -> list[dict]:
    sandbox = actual.sandbox is not None and actual.sandbox.ready
    unready = [each["name"] for each in mains if not each["ready"]]
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "")
    why = (ended, "") if ended else ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    ready = (not unready and not ended, *why)
    incomplete = [each["name"] for each in pods.init_containers(pod)]
    not_started = ("ContainersNotInitialized", f"containers with incomplete status: [{' '.join(incomplete)}]")
    found = {
        "PodReadyToStartContainers": (sandbox, "", ""),
        "Initialized": (started, *(("PodCompleted", "") if phase == "Succeeded" else ("", ""))) if started
        else (False, *not_started),
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": (True, "", ""),
    }  # fmt: skip
    generation = pod["metadata"].get("generation", 1)
    old = (pod.get("status") or {}).get("conditions") or []
    conditions = list(old)
    for kind, values in found.items():
        conditions = objects.set_condition(conditions, _condition(kind, *values, generation), now)
    order = [*found, *(each["type"] for each in conditions)]
    return sorted(conditions, key=lambda each: order.index(each["type"]))


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
