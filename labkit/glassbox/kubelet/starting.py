"""Makes what a pod lacks: volumes, sandbox, then its containers in order.

A container with a postStart hook keeps those after it waiting until the hook has ended; a hook that fails ends its
container. What cannot be made now is told as the reason why a container waits, and tried again later.

Upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go (startContainer), kuberuntime_sandbox.go
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from labkit.glassbox import objects, quantity
from labkit.glassbox.kubelet import (
    env,
    fs_group,
    host_ports,
    limits,
    naming,
    pods,
    rootfs,
    security,
    service_links,
    volumes,
)
from labkit.glassbox.kubelet.actions import Actions, Start
from labkit.glassbox.kubelet.addresses import Addresses, NoAddress
from labkit.glassbox.kubelet.env import ConfigError
from labkit.glassbox.kubelet.hooks import Hooks
from labkit.glassbox.kubelet.image_pulls import ImagePulls
from labkit.glassbox.kubelet.images import Image
from labkit.glassbox.kubelet.naming import HostnameError
from labkit.glassbox.kubelet.runtime import Actual, ContainerConfig, Sandbox
from labkit.glassbox.kubelet.status import Waiting
from labkit.glassbox.kubelet.surroundings import RETRY, Surroundings
from labkit.glassbox.kubelet.zygote import SandboxError
from labkit.glassbox.nftables import NftError
from labkit.glassbox.user_namespace import has_one_id


class Starter:
    """Starts the pods of one node."""

    def __init__(
        self,
        around: Surroundings,
        pulls: ImagePulls,
        addresses: Addresses,
        hooks: Hooks,
        is_wanted: Callable[[str], bool],
    ) -> None:
        self.around, self.pulls, self.addresses, self.hooks = around, pulls, addresses, hooks
        self.is_wanted = is_wanted

    def start(self, pod: dict, actual: Actual, todo: Actions) -> dict[str, Waiting]:
        """Make what the pod lacks; return what keeps which containers from starting."""
        uid = objects.uid(pod)
        waiting = {name: self._backing_off(pod, actual, name, delay) for name, delay in todo.backing_off.items()}
        if todo.again_after is not None:
            self.around.again(uid, todo.again_after)
        if not todo.start and not volumes.is_live(pod):
            return waiting
        warn = partial(self.around.warn, pod, "FailedMount")
        try:
            made = volumes.prepare(pod, self.around.places(uid), self.around.sources(pod, actual), warn)
        except ConfigError as error:
            warn(str(error))
            self.around.again(uid, RETRY)
            return waiting
        self._give_volumes(pod, made, bool(todo.start))
        if todo.new_sandbox:
            actual = self._new_sandbox(pod, actual)
            if actual.sandbox is None:
                self.around.again(uid, RETRY)
                return waiting
        for start in todo.start:
            if not self.is_wanted(uid):  # deleted meanwhile: what has not begun must not be waited for
                break
            if why := self._start_container(pod, actual, start, made):
                waiting[start.container["name"]] = why
            elif self.hooks.post_start(pod, start.container):
                break
        return waiting

    def _give_volumes(self, pod: dict, made: dict[str, Path], starting: bool) -> None:
        """Give the pod's group its volumes: what it writes to before it starts, what shows the API after a change."""
        shown = {each["name"] for each in pod["spec"].get("volumes") or [] if volumes.shows_api(each)}
        due = {name: place for name, place in made.items() if starting or name in shown}
        fs_group.own(pod, due, made.keys() - shown, single=has_one_id())

    def forget(self, uid: str) -> None:
        """Give back what a pod that is gone had of the node."""
        self.addresses.release(uid)
        self.pulls.forget(uid)

    def _new_sandbox(self, pod: dict, actual: Actual) -> Actual:
        uid, attempt = objects.uid(pod), 0
        if actual.sandbox:
            attempt = actual.sandbox.attempt + 1
            self.around.tell(pod, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        try:
            node, on_node = self.around.node, bool(pod["spec"].get("hostNetwork"))
            hostname = naming.hostname(pod, node.cluster_domain, node.name)
            address = node.address if on_node else self.addresses.take(uid)
            wanted = Sandbox(uid, objects.namespace(pod), objects.name(pod), hostname, address, attempt)
            ports = [] if on_node else host_ports.wanted(pod)
            wanted = replace(wanted, host_network=on_node, sysctls=security.sysctls(pod), ports=ports)
            return Actual(self.around.runtime.run_sandbox(wanted), actual.containers)
        except (SandboxError, NoAddress, HostnameError, NftError, OSError) as error:
            self.around.warn(pod, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return Actual(None, actual.containers)

    def _start_container(self, pod: dict, actual: Actual, start: Start, made: dict[str, Path]) -> Waiting | None:
        container, name, uid = start.container, start.container["name"], objects.uid(pod)
        path = pods.field_path(pod, name)
        image = self.pulls.image(pod, container)
        if isinstance(image, Waiting):
            self.around.again(uid, self.pulls.delay(pod, container))
            return image
        try:
            config = self._config(pod, actual, start, image, made)
        except ConfigError as error:
            self.around.warn(pod, "Failed", f"Error: {error}", path)
            self.around.again(uid, RETRY)
            return Waiting("CreateContainerConfigError", str(error))
        self.around.tell(pod, "Created", "Container created", path)
        self.around.runtime.start_container(uid, config)
        started = self.around.runtime.inspect(uid).latest(name)
        if started and started.reason == "StartError":
            self.around.warn(pod, "Failed", f"Error: {started.message}", path)
            return Waiting("RunContainerError", started.message)
        self.around.tell(pod, "Started", "Container started", path)
        return None

    def _config(self, pod: dict, actual: Actual, start: Start, image: Image, made: dict[str, Path]) -> ContainerConfig:
        assert actual.sandbox
        container, runtime = start.container, self.around.runtime
        confined = security.plan(pod, container, single=has_one_id())
        base = {**image.env, "HOSTNAME": actual.sandbox.hostname, "HOME": "/" if confined.uid else "/root"}
        base |= {"TERM": "xterm"} if container.get("tty") else {}
        base |= service_links.variables(pod, self.around.cache.services())
        facts = self.around.facts(pod, actual)
        variables = env.environment(pod, container, base, facts, self.around.lookup(pod))
        shared = self._files(pod, actual.sandbox)
        steps = rootfs.plan(image, shared, volumes.mounts(container, made, pod, variables), masked=confined.masked)
        return ContainerConfig(
            name=container["name"],
            attempt=start.attempt,
            image=image.name,
            image_id=image.id,
            args=env.command(container, image.command, variables),
            env=variables,
            cwd=container.get("workingDir") or "/",
            root=str(runtime.root),
            steps=steps,
            security=confined.as_dict(),
            limits=self._limits(pod, container, [shared.shm, *self._memory(pod, container, made)], steps).as_dict(),
            log=str(self.around.log_directory(pod) / container["name"] / f"{start.attempt}.log"),
            termination_log=container.get("terminationMessagePath") or "/dev/termination-log",
            backoff=start.backoff,
            asked_image=container["image"],
            resources=container.get("resources") or {},
            target=container.get("targetContainerName", ""),
            share_processes=pod["spec"].get("shareProcessNamespace", False),
            log_as_message=container.get("terminationMessagePolicy") == "FallbackToLogsOnError",
            stdin=container.get("stdin", False),
            stdin_once=container.get("stdinOnce", False),
            tty=container.get("tty", False),
        )

    def _limits(self, pod: dict, container: dict, shared: list[str], steps: list[rootfs.Step]) -> limits.Limits:
        capacity = quantity.bytes_of(self.around.node.allocatable["memory"])
        own = [target for kind, target, *_ in steps if kind == "tmpfs"]
        return limits.plan(pod, container, capacity, shared, own)

    def _memory(self, pod: dict, container: dict, made: dict[str, Path]) -> list[str]:
        return [str(made[name]) for name in volumes.in_memory(pod, container)]

    def _files(self, pod: dict, sandbox: Sandbox) -> rootfs.PodFiles:
        node = self.around.node
        resolver, left_out = naming.resolver(pod, node.cluster_dns, node.cluster_domain, naming.of_host())
        for words in left_out:
            if self.around.first_time(pod, words):
                self.around.warn(pod, "DNSConfigForming", words)
        hosts = naming.hosts(pod, sandbox.address, node.cluster_domain, node.name)
        shm = str(self.around.runtime.pods / sandbox.uid / "shm")
        return rootfs.PodFiles(sandbox.hostname, hosts, shm, resolver.text)

    def _backing_off(self, pod: dict, actual: Actual, name: str, delay: float) -> Waiting:
        who = f"{objects.name(pod)}_{objects.namespace(pod)}({objects.uid(pod)})"
        last = actual.latest(name)
        if last and self.around.first_time(pod, f"backing off {last.id}"):
            message = f"Back-off restarting failed container {name} in pod {who}"
            self.around.warn(pod, "BackOff", message, pods.field_path(pod, name))
        text = _duration(delay)
        return Waiting("CrashLoopBackOff", f"back-off {text} restarting failed container={name} pod={who}")


def _duration(seconds: float) -> str:
    """Write seconds as Go writes a duration: 10s, 2m40s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
