"""Reads pods as the kubelet needs them: pure functions over the pod's JSON.

What this kubelet does not implement is named here, so that a pod which asks for it is told so and is not run as if it
had not asked.

Upstream: pkg/kubelet/container/helpers.go, pkg/api/v1/pod/util.go
"""

from collections.abc import Iterator

from labkit.glassbox import nftables
from labkit.glassbox.kubelet import host_ports, security, volumes

DEFAULT_GRACE = 30  # seconds

# Fields of a pod's spec, and of a container, that would change what runs, and that nothing here acts on yet.
POD_FIELDS = {
    "hostPID": "hostPID (a pod sees no processes but its own)",
    "hostIPC": "hostIPC (a pod has shared memory of its own)",
    "resourceClaims": "resource claims",
    "runtimeClassName": "runtimeClassName",
}
CONTAINER_FIELDS = {
    "volumeDevices": "volumeDevices",
}
STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def containers(pod: dict) -> list[dict]:
    """Return the pod's containers, without the init containers."""
    return pod["spec"]["containers"]


def init_containers(pod: dict) -> list[dict]:
    """Return the containers that run one after the other before the others start."""
    return pod["spec"].get("initContainers") or []


def ephemeral_containers(pod: dict) -> list[dict]:
    """Return the containers that somebody added, as by kubectl debug: run once, at any time."""
    return pod["spec"].get("ephemeralContainers") or []


def every_container(pod: dict) -> list[dict]:
    """Return the init containers, the others, and those that were added."""
    return [*init_containers(pod), *containers(pod), *ephemeral_containers(pod)]


def spec_of(pod: dict, name: str) -> dict:
    """Return a container's part of the pod's spec; empty for one that is not the pod's."""
    return next((each for each in every_container(pod) if each["name"] == name), {})


def is_sidecar(container: dict) -> bool:
    """Tell whether an init container runs beside those after it; asked of an init container."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: dict) -> str:
    """Return Always, OnFailure or Never."""
    return pod["spec"].get("restartPolicy", "Always")


def restarts(pod: dict, container: dict, exit_code: int) -> bool:
    """Tell whether a container that ended so is started again: its first rule that matches, its policy, the pod's."""
    if own := container.get("restartPolicy"):
        for rule in container.get("restartPolicyRules") or []:
            told = rule.get("exitCodes") or {}
            if (exit_code in (told.get("values") or [])) == (told.get("operator") == "In"):
                return rule.get("action") == "Restart"
    policy = own or restart_policy(pod)
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def field_path(pod: dict, name: str) -> str:
    """Return how events name a container, as in spec.containers{web}."""
    for kind in ("initContainers", "ephemeralContainers"):
        if any(each["name"] == name for each in pod["spec"].get(kind) or []):
            return f"spec.{kind}{{{name}}}"
    return f"spec.containers{{{name}}}"


def grace_seconds(pod: dict) -> int:
    """Return how long the pod's containers may take to end: what the deletion says, else the pod's spec."""
    deletion = pod["metadata"].get("deletionGracePeriodSeconds")
    return deletion if deletion is not None else pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE)


def is_finished(pod: dict) -> bool:
    """Tell whether the pod has ended for good; such a pod must never run again."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def unimplemented(pod: dict) -> list[str]:
    """Name what the pod needs and this kubelet does not do."""
    return list(dict.fromkeys(_unimplemented(pod)))


def _unimplemented(pod: dict) -> Iterator[str]:
    spec = pod["spec"]
    yield from (words for field, words in POD_FIELDS.items() if spec.get(field))
    yield from security.unimplemented(pod, None)
    for volume in spec.get("volumes") or []:
        yield from volumes.unimplemented(volume)
    for container in every_container(pod):
        yield from (words for field, words in CONTAINER_FIELDS.items() if container.get(field))
        yield from security.unimplemented(pod, container)
        actions = [rule.get("action") for rule in container.get("restartPolicyRules") or []]
        yield from (f"restartPolicyRules: {action}" for action in actions if action != "Restart")
    if not spec.get("hostNetwork") and host_ports.wanted(pod) and not nftables.binary():
        yield "hostPort (there is no nft on this machine)"
