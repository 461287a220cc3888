"""Brings one pod to what its spec says: read what is, compute what to do, do it, report.

`sync` is called with a pod's uid whenever the pod or something in it may have changed, by one thread at a time for a
uid. It never waits for a container: what must happen later is asked for as another sync after so many seconds.

Invariants: a pod's sandbox exists before its containers, its volumes before both; a pod is deleted from the API only
after all that ran in it has ended; a pod that needs what is not implemented is told so by name and does not run.
Left out: probes, lifecycle hooks, eviction.

Upstream: pkg/kubelet/pod_workers.go, pkg/kubelet/kubelet.go (SyncPod), kuberuntime/kuberuntime_manager.go
"""

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.glassbox import clock, objects
from labkit.glassbox.clock import Clock
from labkit.glassbox.errors import ApiError
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.kubelet import env, pods, rootfs, volumes
from labkit.glassbox.kubelet.actions import Actions, Start, compute_actions
from labkit.glassbox.kubelet.addresses import Addresses, NoAddress
from labkit.glassbox.kubelet.env import ConfigError
from labkit.glassbox.kubelet.image_pulls import ImagePulls
from labkit.glassbox.kubelet.images import Image
from labkit.glassbox.kubelet.recall import recall
from labkit.glassbox.kubelet.runtime import Actual, Container, ContainerConfig, LinuxRuntime, Sandbox
from labkit.glassbox.kubelet.status import Waiting, status_of
from labkit.glassbox.kubelet.zygote import SandboxError

log = logging.getLogger(__name__)

REFRESH = 60.0  # seconds until a changed ConfigMap or Secret is seen in a volume, at most
RETRY = 5.0  # seconds before something that failed outside the pod is tried again


@dataclass(frozen=True)
class Node:
    """What a pod may know of its node, and where the node keeps what is the pod's."""

    name: str
    address: str
    root_dir: Path
    run_dir: Path
    allocatable: dict[str, str]


class PodWorker:
    """Syncs the pods of one node."""

    def __init__(
        self,
        *,
        api: Any,
        get_pod: Callable[[str], dict | None],
        runtime: LinuxRuntime,
        pulls: ImagePulls,
        addresses: Addresses,
        events: EventRecorder,
        again: Callable[[str, float], None],
        node: Node,
        time: Clock,
    ) -> None:
        self.api, self.get_pod, self.runtime, self.pulls = api, get_pod, runtime, pulls
        self.addresses, self.events, self.again, self.node, self.clock = addresses, events, again, node, time
        self._reported: dict[str, dict] = {}
        self._told: set[tuple[str, str]] = set()  # (uid, what): events that are sent once
        self._lock = threading.Lock()

    def sync(self, uid: str) -> None:
        """Bring one pod nearer to its spec; raises what the API or the machine raise, and is then called again."""
        pod = self.get_pod(uid)
        if pod is None:
            return self.forget(uid)
        actual = self.inspect(pod)
        if objects.is_deleting(pod):
            return self.take_down(pod, actual)
        if pods.is_finished(pod):
            return self.stop(uid, actual)
        if missing := pods.unimplemented(pod):
            return self.refuse(pod, missing)
        todo = compute_actions(pod, actual, self.clock.now())
        if todo.stop_sandbox:
            self.report(pod, actual, {})
            return self.stop(uid, actual)
        waiting = self.start(pod, actual, todo)
        self.report(pod, self.inspect(pod), waiting)
        if volumes.is_live(pod):
            self.again(uid, REFRESH)
        return None

    def inspect(self, pod: dict) -> Actual:
        """Return what runs and what ran in a pod, as far as anybody remembers it."""
        return recall(pod, self.runtime.inspect(objects.uid(pod)), self.clock.now())

    # starting

    def start(self, pod: dict, actual: Actual, todo: Actions) -> dict[str, Waiting]:
        """Make what the pod lacks; return what keeps which containers from starting."""
        uid = objects.uid(pod)
        waiting = {name: self._backing_off(pod, actual, name, delay) for name, delay in todo.backing_off.items()}
        if todo.again_after is not None:
            self.again(uid, todo.again_after)
        if not todo.start and not volumes.is_live(pod):
            return waiting
        try:
            made = volumes.prepare(pod, self._places(uid), self._facts(pod, actual), self._lookup(pod))
        except ConfigError as error:
            self._warn(pod, "FailedMount", str(error))
            self.again(uid, RETRY)
            return waiting
        if todo.new_sandbox:
            actual = self._new_sandbox(pod, actual)
            if actual.sandbox is None:
                self.again(uid, RETRY)
                return waiting
        for start in todo.start:
            if why := self._start_container(pod, actual, start, made):
                waiting[start.container["name"]] = why
        return waiting

    def _new_sandbox(self, pod: dict, actual: Actual) -> Actual:
        uid, attempt = objects.uid(pod), 0
        if actual.sandbox:
            attempt = actual.sandbox.attempt + 1
            self.events.event(pod, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        elif pods.has_limits(pod):
            self._warn(pod, "LimitsNotEnforced", "resource limits are not enforced by this kubelet")
        try:
            address = self.addresses.take(uid)
            hostname = pods.hostname(pod)
            wanted = Sandbox(uid, objects.namespace(pod), objects.name(pod), hostname, address, attempt)
            return Actual(self.runtime.run_sandbox(wanted), actual.containers)
        except (SandboxError, NoAddress, OSError) as error:
            self._warn(pod, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return Actual(None, actual.containers)

    def _start_container(self, pod: dict, actual: Actual, start: Start, made: dict[str, Path]) -> Waiting | None:
        container, name = start.container, start.container["name"]
        path = pods.field_path(pod, name)
        image = self.pulls.image(pod, container)
        if isinstance(image, Waiting):
            self.again(objects.uid(pod), self.pulls.delay(pod, container))
            return image
        try:
            config = self._config(pod, actual, start, image, made)
        except ConfigError as error:
            self._warn(pod, "Failed", f"Error: {error}", path)
            self.again(objects.uid(pod), RETRY)
            return Waiting("CreateContainerConfigError", str(error))
        self.events.event(pod, "Normal", "Created", "Container created", field_path=path)
        self.runtime.start_container(objects.uid(pod), config)
        started = self.runtime.inspect(objects.uid(pod)).latest(name)
        if started and started.reason == "StartError":
            self._warn(pod, "Failed", f"Error: {started.message}", path)
            return Waiting("RunContainerError", started.message)
        self.events.event(pod, "Normal", "Started", "Container started", field_path=path)
        return None

    def _config(self, pod: dict, actual: Actual, start: Start, image: Image, made: dict[str, Path]) -> ContainerConfig:
        assert actual.sandbox
        container, uid = start.container, objects.uid(pod)
        base = {**image.env, "HOSTNAME": actual.sandbox.hostname, "HOME": "/root"}
        variables = env.environment(pod, container, base, self._facts(pod, actual), self._lookup(pod))
        shared = rootfs.PodFiles(actual.sandbox.hostname, actual.sandbox.address, str(self.runtime.pods / uid / "shm"))
        return ContainerConfig(
            name=container["name"],
            attempt=start.attempt,
            image=image.name,
            image_id=image.id,
            args=env.command(container, image.command, variables),
            env=variables,
            cwd=container.get("workingDir") or "/",
            root=str(self.runtime.root),
            steps=rootfs.plan(image, shared, volumes.mounts(container, made, pod)),
            log=str(self.log_directory(pod) / container["name"] / f"{start.attempt}.log"),
            termination_log=container.get("terminationMessagePath") or "/dev/termination-log",
            backoff=start.backoff,
        )

    def _backing_off(self, pod: dict, actual: Actual, name: str, delay: float) -> Waiting:
        who = f"{objects.name(pod)}_{objects.namespace(pod)}({objects.uid(pod)})"
        last = actual.latest(name)
        if last and self._first_time(pod, f"backing off {last.id}"):
            message = f"Back-off restarting failed container {name} in pod {who}"
            self._warn(pod, "BackOff", message, pods.field_path(pod, name))
        text = _duration(delay)
        return Waiting("CrashLoopBackOff", f"back-off {text} restarting failed container={name} pod={who}")

    def refuse(self, pod: dict, missing: list[str]) -> None:
        """Tell a pod that it needs what is not there."""
        message = f"{', '.join(missing)}: not implemented by this kubelet"
        if self._first_time(pod, message):
            self._warn(pod, "NotImplemented", message)
        waiting = Waiting("NotImplemented", message)
        self.report(pod, Actual(), {each["name"]: waiting for each in pods.containers(pod)})

    def _first_time(self, pod: dict, what: str) -> bool:
        """Tell whether this is done for the first time for the pod, and remember it."""
        with self._lock:
            known = (objects.uid(pod), what) in self._told
            self._told.add((objects.uid(pod), what))
            return not known

    # stopping

    def take_down(self, pod: dict, actual: Actual) -> None:
        """End a pod that is being deleted: SIGTERM, at the end of its grace SIGKILL, then the API object."""
        uid = objects.uid(pod)
        running = [last for name in actual.containers if (last := actual.latest(name)) and last.running]
        left = clock.parse(pod["metadata"]["deletionTimestamp"]) - self.clock.now()
        if not running or pods.grace_seconds(pod) == 0:
            return self._finish(pod)
        for container in running:
            self._terminate(pod, container, kill=left <= 0)
        if left > 0:
            self.again(uid, left)
        return None

    def _terminate(self, pod: dict, container: Container, kill: bool) -> None:
        signum = signal.SIGKILL if kill else signal.SIGTERM
        if not self._first_time(pod, f"{signum} {container.id}"):
            return
        if not kill:
            message = f"Stopping container {container.name}"
            path = pods.field_path(pod, container.name)
            self.events.event(pod, "Normal", "Killing", message, field_path=path)
        self.runtime.signal_container(objects.uid(pod), container.name, container.attempt, signum)

    def _finish(self, pod: dict) -> None:
        """Delete a pod in which nothing runs any more; its last state is reported first, as watchers expect it."""
        uid = objects.uid(pod)
        self.runtime.stop_sandbox(uid)
        actual = self.inspect(pod)
        ended = [actual.latest(name) for name in actual.containers]
        if ended and not pods.is_finished(pod):
            phase = "Succeeded" if all(each and each.exit_code == 0 for each in ended) else "Failed"
            self.report({**pod, "status": {**(pod.get("status") or {}), "phase": phase}}, actual, {})
        try:
            self.api.delete("pods", objects.name(pod), objects.namespace(pod), uid=uid, grace_period_seconds=0)
        except ApiError as error:
            if error.code not in (404, 409):  # 409: another pod has the name by now
                raise
        self.forget(uid)

    def stop(self, uid: str, actual: Actual) -> None:
        """End what is left of a pod that has ended; its logs stay until it is deleted."""
        if actual.sandbox and actual.sandbox.ready:
            self.runtime.stop_sandbox(uid)
            self.again(uid, 0)  # to report that the sandbox is gone
        elif (pod := self.get_pod(uid)) and not objects.is_deleting(pod):
            self.report(pod, actual, {})
        self.addresses.release(uid)

    def forget(self, uid: str) -> None:
        """End and remove all that is left of a pod that the API does not have any more."""
        self.runtime.stop_sandbox(uid)
        self.runtime.remove(uid)
        volumes.remove(self._places(uid))
        self.addresses.release(uid)
        self.pulls.forget(uid)
        with self._lock:
            self._reported.pop(uid, None)
            self._told = {each for each in self._told if each[0] != uid}

    # reporting

    def report(self, pod: dict, actual: Actual, waiting: dict[str, Waiting]) -> None:
        """Write the pod's status, if it is another than the last one written or seen."""
        uid = objects.uid(pod)
        known = self._reported.get(uid)
        seen = {**pod, "status": known} if known and not pods.is_finished(pod) else pod
        status = status_of(seen, actual, waiting, self.node.address, self.clock.now())
        if status == known or (known is None and status == pod.get("status")):
            return
        patch = {"metadata": {"uid": uid}, "status": status}
        try:
            self.api.patch("pods", objects.name(pod), objects.namespace(pod), patch, kind="merge", subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):  # gone, or another pod of the same name
                raise
        self._reported[uid] = status

    def _warn(self, pod: dict, reason: str, message: str, path: str = "") -> None:
        self.events.event(pod, "Warning", reason, message, field_path=path)

    # what a pod may know

    def _lookup(self, pod: dict) -> env.Lookup:
        return lambda resource, name: self.api.get(resource, name, objects.namespace(pod))

    def _facts(self, pod: dict, actual: Actual) -> dict[str, str]:
        address = actual.sandbox.address if actual.sandbox else ""
        return {
            "status.podIP": address,
            "status.podIPs": address,
            "status.hostIP": self.node.address,
            "status.hostIPs": self.node.address,
            "spec.nodeName": self.node.name,
            "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
            **{f"allocatable.{name}": value for name, value in self.node.allocatable.items()},
        }

    def _places(self, uid: str) -> volumes.Places:
        return volumes.places(self.node.root_dir, self.node.run_dir, uid)

    def log_directory(self, pod: dict) -> Path:
        """Return where the logs of a pod's containers lie; removed with its volumes."""
        return self.node.root_dir / "pods" / objects.uid(pod) / "logs"


def _duration(seconds: float) -> str:
    """Write seconds as Go writes a duration: 10s, 2m40s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
