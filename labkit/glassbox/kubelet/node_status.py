"""What a node says of itself: mostly pure, the host's figures in, the Node object and its status out.

Invariant: a node never claims what does not hold: how limits are held and that nothing routes to Service addresses
stand in its conditions. Left out: images, volumes in use, pressure figures beyond a threshold.

Upstream: pkg/kubelet/nodestatus/setters.go, pkg/kubelet/kubelet_node_status.go
"""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from labkit.glassbox import clock, objects, processes
from labkit.glassbox.kubelet.rootfs import architecture

KUBELET_VERSION = "v1.36.2"
RUNTIME_VERSION = "glassbox://0.1.0"
MAX_PODS = 110
PORT = 10250
LEAST_MEMORY = 100 * 2**20  # bytes, as upstream's --eviction-hard
# Upstream wants a tenth of a disk that is the node's alone; this one is somebody's home.
LEAST_DISK, LEAST_PART = 2**30, 0.05  # bytes, fraction of the disk: whichever is less
PRESSURES = {  # condition → (whether there is one → the reason's end, the message's)
    "MemoryPressure": {
        True: ("InsufficientMemory", "insufficient memory available"),
        False: ("SufficientMemory", "sufficient memory available"),
    },
    "DiskPressure": {True: ("DiskPressure", "disk pressure"), False: ("NoDiskPressure", "no disk pressure")},
    "PIDPressure": {
        True: ("InsufficientPID", "insufficient PID available"),
        False: ("SufficientPID", "sufficient PID available"),
    },
}


@dataclass(frozen=True)
class Host:
    """The host's figures; sizes in bytes."""

    cpus: int
    memory: int
    memory_available: int
    disk: int
    disk_free: int
    kernel: str
    os_image: str
    machine_id: str
    boot_id: str


def read_host(root_dir: Path, disk_size: int = 0) -> Host:
    """Look at the host as it is now; with a size the disk is what lies in the directory, and may do."""
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    disk = shutil.disk_usage(root_dir)
    return Host(
        cpus=os.cpu_count() or 1,
        memory=_kilobytes(memory["MemTotal"]),
        memory_available=_kilobytes(memory["MemAvailable"]),
        disk=disk_size or disk.total,
        disk_free=min(disk.free, disk_size - processes.on_disk(root_dir)) if disk_size else disk.free,
        kernel=platform.release(),
        os_image=_os_image(),
        machine_id=_text("/etc/machine-id"),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
    )


def node_object(name: str, pod_cidr: str, labels: dict[str, str]) -> dict:
    """Return the Node with which the kubelet registers."""
    system = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**system, **labels}},
        "spec": {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]},
    }


def csi_node_object(node: dict) -> dict:
    """Return the CSINode beside a Node, in which volume drivers would enter themselves; it goes with the Node."""
    metadata = {"name": objects.name(node), "ownerReferences": [objects.owner_reference(node, "Node", "v1", False)]}
    return {"metadata": metadata, "spec": {"drivers": []}}


def status_of(name: str, address: str, host: Host, old: dict, now: float) -> dict:
    """Return the node's status at `now`; `old` is the status it had."""
    resources = allocatable(host)
    mine = _conditions(host)
    kinds = {each["type"] for each in mine}
    conditions = [each for each in old.get("conditions") or [] if each["type"] in kinds]
    for condition in mine:
        dated = {**condition, "lastHeartbeatTime": clock.rfc3339(now)}
        conditions = objects.set_condition(conditions, dated, now)
    return {
        "capacity": resources,
        "allocatable": resources,
        "conditions": conditions,
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
        "nodeInfo": {
            "machineID": host.machine_id,
            "systemUUID": host.machine_id,
            "bootID": host.boot_id,
            "kernelVersion": host.kernel,
            "osImage": host.os_image,
            "containerRuntimeVersion": RUNTIME_VERSION,
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": architecture(),
        },
    }


def allocatable(host: Host) -> dict[str, str]:
    """Return what pods may ask for: all of it, for nothing is set aside."""
    return {
        "cpu": str(host.cpus),
        "memory": f"{host.memory // 1024}Ki",
        "ephemeral-storage": f"{host.disk // 1024}Ki",
        "pods": str(MAX_PODS),
    }


def pressures(host: Host) -> tuple[bool, bool]:
    """Tell whether memory and disk are short."""
    short = (available < least for least, available in (threshold(host, "memory"), threshold(host, "disk")))
    return next(short), next(short)


def threshold(host: Host, resource: str) -> tuple[int, int]:
    """Return the least that must be left of a resource, and what is, in bytes."""
    if resource == "memory":
        return LEAST_MEMORY, host.memory_available
    return min(LEAST_DISK, int(host.disk * LEAST_PART)), host.disk_free


def _conditions(host: Host) -> list[dict]:
    memory, disk = pressures(host)
    return [
        _condition(
            "ResourceLimitsByAccounting",
            True,
            "NoControlGroups",
            "containers are held to their limits by counting: memory is polled, processor time rationed by stopping",
        ),
        _pressure("MemoryPressure", memory),
        _pressure("DiskPressure", disk),
        _pressure("PIDPressure", False),
        _condition("Ready", True, "KubeletReady", "kubelet is posting ready status"),
    ]


def _pressure(kind: str, there: bool) -> dict:
    reason, told = PRESSURES[kind][there]
    return _condition(kind, there, f"KubeletHas{reason}", f"kubelet has {told}")


def news(old: list[dict], new: list[dict]) -> list[str]:
    """Return the reasons of the events that tell how conditions have changed."""
    before = {each["type"]: each["status"] for each in old}
    changed = [each for each in new if before.get(each["type"]) != each["status"]]
    told = {
        kind: each["reason"].replace("Kubelet", "Node", 1) for each in changed if (kind := each["type"]) in PRESSURES
    }
    return [*told.values(), *(["NodeReady"] if any(each["type"] == "Ready" for each in changed) else [])]


def _condition(kind: str, holds: bool, reason: str, message: str) -> dict:
    return {"type": kind, "status": str(holds), "reason": reason, "message": message}


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) * 1024


def _os_image() -> str:
    for line in _text("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
