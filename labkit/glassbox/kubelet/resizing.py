"""Resizing a pod in place: what a container may use changes while it runs, if the node has it.

What the node cannot give stays pending, with a condition that says why, and the pod goes on with what it has. Pause
counts by the new limits at once, so nothing is ever in progress.

Left out: what a memory limit below what is in use comes to is a killed container, as anywhere.

Upstream: pkg/kubelet/allocation/allocation_manager.go, doPodResizeAction in pkg/kubelet/kuberuntime
"""

from __future__ import annotations

from labkit.glassbox.kubelet import limits, pods
from labkit.glassbox.kubelet.runtime import Actual, Container

RESIZABLE = ("cpu", "memory")
PENDING = "PodResizePending"
AGAIN_AFTER = 5.0  # seconds, until a resize that had to wait is looked at again


def amounts(holder: dict) -> dict:
    """Return a container's amounts of what can be resized: (kind, name) → amount."""
    found = {
        (kind, name): value for kind in ("limits", "requests") for name, value in limits.amounts(holder, kind).items()
    }
    return {(kind, name): value for (kind, name), value in found.items() if name in RESIZABLE}


def is_resized(pod: dict, held: dict) -> bool:
    """Tell whether a pod wants other amounts than the node has given it."""
    return list(map(amounts, pods.every_container(pod))) != list(map(amounts, pods.every_container(held)))


def with_amounts_of(pod: dict, held: dict) -> dict:
    """Return the pod with the amounts that it was given."""
    given = {each["name"]: each.get("resources") or {} for each in pods.every_container(held)}
    spec = dict(pod["spec"])
    for field in ("containers", "initContainers"):
        if field in spec:
            spec[field] = [{**each, "resources": given.get(each["name"], {})} for each in spec[field]]
    return {**pod, "spec": spec}


def changed(spec: dict, container: Container | None) -> set[str]:
    """Return of which resources a container has other amounts than its spec says."""
    if container is None or not container.running:
        return set()
    wanted, held = amounts(spec), amounts({"resources": container.resources})
    return {name for kind, name in wanted.keys() | held.keys() if wanted.get((kind, name)) != held.get((kind, name))}


def must_restart(spec: dict, container: Container | None) -> bool:
    """Tell whether a change of a container's amounts takes a restart, as its resizePolicy says."""
    policies = {each["resourceName"]: each["restartPolicy"] for each in spec.get("resizePolicy") or []}
    return any(policies.get(name) == "RestartContainer" for name in changed(spec, container))


def in_place(pod: dict, actual: Actual) -> list[tuple[Container, dict]]:
    """Return the containers that run and are to be held to other limits, with their specs."""
    latest = [(actual.latest(each["name"]), each) for each in pods.every_container(pod)]
    return [(last, spec) for last, spec in latest if last and changed(spec, last) and not must_restart(spec, last)]
