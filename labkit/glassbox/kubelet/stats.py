"""What a node and its pods use: /stats/summary and /metrics/resource, sampled when somebody asks.

Nothing is measured while nobody looks. A rate needs two moments: the sample before, if it is not too old, else one
that is taken first. A container's processes are its first one's descendants, and what an exec put into its pid
namespace; a pod's are pause's. Memory is proportional (pages shared with others count in part), with what the
container wrote to its root file system, which lies in memory too.

A node here is a share of one machine, so it uses what its pods, its kubelet and its zygote use; its capacity is the
whole machine's.

Upstream: pkg/kubelet/server/stats/summary.go, pkg/kubelet/metrics/collectors/resource_metrics.go
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.glassbox import clock, objects, processes
from labkit.glassbox.clock import Clock
from labkit.glassbox.kubelet.runtime import Actual, Container, LinuxRuntime

OLDEST, NEWEST = 90.0, 1.0  # seconds between two samples that make a rate
NANO = 10**9


@dataclass(frozen=True)
class Usage:
    """Processor time so far, in seconds, and memory now, in bytes."""

    cpu: float
    memory: int
    writable: int = 0  # bytes in the container's own root file system


@dataclass(frozen=True)
class Sample:
    """One look at everything."""

    at: float
    node: Usage
    pods: dict[str, Usage]  # by uid
    containers: dict[str, Usage]  # by the container's id


class Stats:
    """Keeps the last two samples."""

    def __init__(self, node_name: str, runtime: LinuxRuntime, get_pod: Callable[[str], dict | None],
                 time: Clock) -> None:  # fmt: skip
        self.node_name, self.runtime, self.get_pod, self.clock = node_name, runtime, get_pod, time
        self.started = time.now()
        self._last: Sample | None = None

    def summary(self) -> dict:
        """Return what /stats/summary shows; may take a second."""
        before, now, actual = self._look()
        pods = [self._pod(uid, found, before, now) for uid, found in actual.items() if uid in now.pods]
        node = {"nodeName": self.node_name, "startTime": clock.rfc3339(self.started)}
        return {"node": {**node, **_usage(before.at, before.node, now.at, now.node)}, "pods": pods}

    def resource_metrics(self) -> str:
        """Return what /metrics/resource shows, in Prometheus' text format."""
        now, actual = self.sample()
        return prometheus(now, actual)

    def _look(self) -> tuple[Sample, Sample, dict[str, Actual]]:
        """Return two samples not too far apart, and what ran at the second."""
        before = self._last
        if before is None or self.clock.now() - before.at > OLDEST:
            before, _ = self.sample()
        if (soon := before.at + NEWEST - self.clock.now()) > 0:
            self.clock.sleep(soon)
        self._last, actual = self.sample()
        return before, self._last, actual

    def sample(self) -> tuple[Sample, dict[str, Actual]]:
        """Look at everything now; return it with what runs, by uid."""
        every = processes.table()
        found = ((uid, self.runtime.inspect(uid)) for uid in self.runtime.list())
        actual = {uid: each for uid, each in found if each.sandbox and each.sandbox.ready}
        pods: dict[str, Usage] = {}
        containers: dict[str, Usage] = {}
        for uid, each in actual.items():
            usages = list(_containers(every, each))
            containers |= {container.id: usage for container, usage in usages}
            pods[uid] = _sum(every, each.sandbox.pid if each.sandbox else 0, [usage for _, usage in usages])
        own = _usage_of([*every.below(os.getpid())])
        node = Usage(own.cpu + sum(p.cpu for p in pods.values()), own.memory + sum(p.memory for p in pods.values()))
        return Sample(self.clock.now(), node, pods, containers), actual

    def _pod(self, uid: str, actual: Actual, before: Sample, now: Sample) -> dict:
        assert actual.sandbox
        pod, sandbox = self.get_pod(uid), actual.sandbox
        since = before.at if uid in before.pods else sandbox.created_at
        told = _usage(since, before.pods.get(uid, Usage(0, 0)), now.at, now.pods[uid])
        running = [each for name in actual.containers if (each := actual.latest(name)) and each.id in now.containers]
        return {
            "podRef": {"name": sandbox.name, "namespace": sandbox.namespace, "uid": uid},
            "labels": objects.labels(pod) if pod else {},
            "startTime": clock.rfc3339(sandbox.created_at),
            "containers": [_container(each, before, now) for each in running],
            **told,
        }


def _container(container: Container, before: Sample, now: Sample) -> dict:
    since = before.at if container.id in before.containers else container.started_at
    usage = now.containers[container.id]
    told = _usage(since, before.containers.get(container.id, Usage(0, 0)), now.at, usage)
    rootfs = {"time": clock.rfc3339(now.at), "usedBytes": usage.writable}
    return {"name": container.name, "startTime": clock.rfc3339(container.started_at), **told, "rootfs": rootfs}


def _usage(since: float, before: Usage, at: float, now: Usage) -> dict:
    """Return the cpu and memory sections; the rate is that of the time since `since`."""
    rate = max(now.cpu - before.cpu, 0.0) / max(at - since, 0.001)
    cpu = {"usageNanoCores": int(rate * NANO), "usageCoreNanoSeconds": int(now.cpu * NANO)}
    memory = {"usageBytes": now.memory, "workingSetBytes": now.memory}
    return {"cpu": {"time": clock.rfc3339(at), **cpu}, "memory": {"time": clock.rfc3339(at), **memory}}


def _containers(every: processes.Table, actual: Actual) -> Iterator[tuple[Container, Usage]]:
    """Give each running container and what its processes use."""
    assert actual.sandbox
    running = [each for name in actual.containers if (each := actual.latest(name)) and each.running and each.pid]
    first = {each.pid for each in running}
    joined = [pid for pid in every.children.get(actual.sandbox.pid, ()) if pid not in first]
    spaces = {_pid_namespace(each.pid): each.pid for each in running}
    for container in running:
        roots = [container.pid, *(pid for pid in joined if spaces.get(_pid_namespace(pid)) == container.pid)]
        usage = _usage_of([process for root in roots for process in every.below(root)])
        writable = processes.used(f"/proc/{container.pid}/root")
        yield container, Usage(usage.cpu, usage.memory + writable, writable)


def _sum(every: processes.Table, pause: int, containers: list[Usage]) -> Usage:
    """Return a pod's usage: all that descends from pause; of pause's own memory nothing, it is the kit's."""
    return Usage(processes.cpu(every.below(pause)), sum(each.memory for each in containers))


def _usage_of(found: list[processes.Process]) -> Usage:
    return Usage(processes.cpu(found), sum(processes.proportional_memory(each.pid) for each in found))


def _pid_namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


METRICS = {  # name → help, type; in upstream's order
    "container_cpu_usage_seconds_total": (
        "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
        "counter",
    ),
    "container_memory_working_set_bytes": ("[STABLE] Current working set of the container in bytes", "gauge"),
    "container_start_time_seconds": ("[STABLE] Start time of the container since unix epoch in seconds", "gauge"),
    "node_cpu_usage_seconds_total": ("[STABLE] Cumulative cpu time consumed by the node in core-seconds", "counter"),
    "node_memory_working_set_bytes": ("[STABLE] Current working set of the node in bytes", "gauge"),
    "pod_cpu_usage_seconds_total": ("[STABLE] Cumulative cpu time consumed by the pod in core-seconds", "counter"),
    "pod_memory_working_set_bytes": ("[STABLE] Current working set of the pod in bytes", "gauge"),
    "resource_scrape_error": (
        "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
        "gauge",
    ),
}


def prometheus(now: Sample, actual: dict[str, Actual]) -> str:
    """Return a sample in Prometheus' text format: pure."""
    values: dict[str, list[tuple[dict[str, str], float]]] = {
        "node_cpu_usage_seconds_total": [({}, now.node.cpu)],
        "node_memory_working_set_bytes": [({}, now.node.memory)],
        "resource_scrape_error": [({}, 0)],
    }
    for uid, usage in now.pods.items():
        sandbox = actual[uid].sandbox
        assert sandbox
        pod = {"namespace": sandbox.namespace, "pod": sandbox.name}
        values.setdefault("pod_cpu_usage_seconds_total", []).append((pod, usage.cpu))
        values.setdefault("pod_memory_working_set_bytes", []).append((pod, usage.memory))
        for container in (each for name in actual[uid].containers if (each := actual[uid].latest(name))):
            if own := now.containers.get(container.id):
                labels = {"container": container.name, **pod}
                values.setdefault("container_cpu_usage_seconds_total", []).append((labels, own.cpu))
                values.setdefault("container_memory_working_set_bytes", []).append((labels, own.memory))
                values.setdefault("container_start_time_seconds", []).append((labels, container.started_at))
    lines = [line for name in METRICS for line in _metric(name, values.get(name, []), int(now.at * 1000))]
    return "\n".join(lines) + "\n"


def _metric(name: str, values: list[tuple[dict[str, str], float]], at: int) -> Iterator[str]:
    if not values:
        return
    told, kind = METRICS[name]
    yield f"# HELP {name} {told}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values:
        inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
        stamp = "" if name == "resource_scrape_error" else f" {at}"
        yield f"{name}{{{inside}}} {value}{stamp}" if inside else f"{name} {value}{stamp}"
