"""Computes a pod's status: pure, the pod and what runs in, the status that kubectl shows out.

Reasons and messages are upstream's, for scripts and people read them. Container states come from the runtime; what
keeps a container from starting, which only the kubelet knows, is handed in as `waiting`.

Invariants: a pod that has ended stays so; it has not ended while a container runs; lastTransitionTime moves only with a
condition's status. While a postStart hook runs, its container is shown as it was before, as upstream's blocked worker
shows it. Left out: device and claim statuses.

Upstream: pkg/kubelet/kubelet_pods.go (generateAPIPodStatus), pkg/kubelet/status/generate.go
"""

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.glassbox import clock
from labkit.glassbox.kubelet import actions, pods, security
from labkit.glassbox.kubelet.actions import NOTHING, Observed
from labkit.glassbox.kubelet.conditions import conditions_of
from labkit.glassbox.kubelet.runtime import Actual, Container

WHOLE_POD = ("observedGeneration", "phase", "reason", "message")
MAX_MESSAGES = 12 * 1024  # characters of termination messages, all containers' together


@dataclass(frozen=True)
class Waiting:
    """Why a container does not run yet."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Verdict:
    """That a pod must end, and why: its deadline, an eviction, a node that does not take it."""

    reason: str
    message: str
    grace: int | None = None  # seconds, where they are not the pod's


def status_of(
    pod: dict,
    actual: Actual,
    waiting: Mapping[str, Waiting],
    node_ip: str,
    now: float,
    observed: Observed = NOTHING,
    verdict: Verdict | None = None,
) -> dict:
    """Return the pod's status at `now` (seconds since the epoch)."""
    old = pod.get("status") or {}
    actual = _without_hooked(actual, observed)
    started = actions.initialized(pod, actual, observed)
    idle = Waiting("ContainerCreating" if started and not pods.init_containers(pod) else "PodInitializing")
    inits, mains, added = (
        [_container(pod, each, actual, waiting.get(each["name"], idle), observed) for each in every]
        for every in (pods.init_containers(pod), pods.containers(pod), pods.ephemeral_containers(pod))
    )
    ended = None if actions.running(actual) else verdict
    phase = "Failed" if ended else phase_of(pod, inits, mains, started)
    if pods.is_finished(pod):
        phase = old["phase"]
    elif phase in ("Succeeded", "Failed") and actions.running(actual):
        phase = "Running"  # its sidecars are still to end
    status = {
        "observedGeneration": pod["metadata"].get("generation", 1),
        "phase": phase,
        "conditions": conditions_of(pod, actual, [*inits, *mains], phase, started, now, observed.pending),
        "hostIP": node_ip,
        "hostIPs": [{"ip": node_ip}],
        "startTime": old.get("startTime") or clock.rfc3339(now),
        "containerStatuses": mains,
        "resources": {},
    }
    if inits:
        status["initContainerStatuses"] = inits
    if added:  # nobody probes them
        shown = [{key: value for key, value in each.items() if key != "started"} for each in added]
        status["ephemeralContainerStatuses"] = [each | {"ready": False} for each in shown]
    if actual.sandbox:
        status |= {"podIP": actual.sandbox.address, "podIPs": [{"ip": actual.sandbox.address}]}
    if ended:
        status |= {"reason": ended.reason, "message": ended.message}
    if phase == "Failed" and not actual.containers and not actual.sandbox:  # it never began: no more is to be said
        status = {key: status[key] for key in (*WHOLE_POD, "startTime") if key in status}
    return {**{key: old[key] for key in ("qosClass", *WHOLE_POD) if key in old}, **status}


def _without_hooked(actual: Actual, observed: Observed) -> Actual:
    past = {name: actual.containers[name][:-1] for name in observed.hooked if name in actual.containers}
    return Actual(actual.sandbox, {**actual.containers, **past})


def phase_of(pod: dict, inits: list[dict], mains: list[dict], started: bool) -> str:
    """Sum up the containers' states in one word."""
    if not started:
        specs = pods.init_containers(pod)
        return "Failed" if any(map(_fails, [pod] * len(specs), specs, inits)) else "Pending"
    if any("waiting" in each["state"] and "terminated" not in each["lastState"] for each in mains):
        return "Pending"
    if any("running" in each["state"] for each in mains):
        return "Running"
    codes = [_exit_code(each) or 0 for each in mains]
    if any(map(pods.restarts, [pod] * len(mains), pods.containers(pod), codes)):
        return "Running"
    return "Failed" if any(codes) else "Succeeded"


def _fails(pod: dict, spec: dict, status: dict) -> bool:
    code = _exit_code(status)
    return bool(code) and not pods.restarts(pod, spec, code or 0)


def _exit_code(status: dict) -> int | None:
    ended = status["state"].get("terminated") or status["lastState"].get("terminated")
    return ended["exitCode"] if ended else None


def _container(pod: dict, spec: dict, actual: Actual, waiting: Waiting, observed: Observed) -> dict:
    attempts = actual.containers.get(spec["name"], ())
    last = attempts[-1] if attempts else None
    before = attempts[-2] if len(attempts) > 1 else None
    backing_off = waiting.reason not in ("ContainerCreating", "PodInitializing")
    if last is None or (backing_off and not last.running):
        state, before = _waiting(waiting), last
    else:
        state = _state(last, pod)
    health = observed.of(last if "running" in state else None)
    is_init = any(each is spec for each in pods.init_containers(pod)) and not pods.is_sidecar(spec)
    status = {
        "name": spec["name"],
        "state": state,
        "lastState": _state(before, pod) if before else {},
        "ready": _exit_code({"state": state, "lastState": {}}) == 0 if is_init else health.started and health.ready,
        "restartCount": last.attempt if last else 0,
        "image": last.image if last else spec["image"],
        "imageID": last.image_id if last else "",
        "started": health.started,
    }
    if last:
        status |= {"containerID": f"glassbox://{last.id}", **_resources(last.resources or spec.get("resources"))}
        status["user"] = security.user_of(pod, spec)
    if mounts := spec.get("volumeMounts"):
        status["volumeMounts"] = [_mount(each) for each in mounts]
    return status


def _resources(held: dict | None) -> dict:
    held = held or {}
    return {"resources": held} | ({"allocatedResources": held["requests"]} if held.get("requests") else {})


def _mount(mount: dict) -> dict:
    shown = {"name": mount["name"], "mountPath": mount["mountPath"]}
    return shown | {"readOnly": True, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else shown


def _waiting(waiting: Waiting) -> dict:
    shown = {"reason": waiting.reason, "message": waiting.message}
    return {"waiting": {key: value for key, value in shown.items() if value}}


def _state(container: Container, pod: dict) -> dict:
    if container.running:
        return {"running": {"startedAt": clock.rfc3339(container.started_at)}}
    ended = {
        "exitCode": container.exit_code,
        "reason": container.reason,
        "message": container.message[: MAX_MESSAGES // len(pods.every_container(pod))],
        "startedAt": clock.rfc3339(container.started_at),
        "finishedAt": clock.rfc3339(container.finished_at or container.started_at),
        "containerID": f"glassbox://{container.id}",
    }
    return {"terminated": {key: value for key, value in ended.items() if value != ""}}
