"""What a write of `pods/resize` may change: processor time and memory of containers.

Left out: amounts of the pod as a whole, which stay as they are.

Upstream: ValidatePodResize in pkg/apis/core/validation/validation.go, dropNonResizeUpdates in pkg/registry/core/pod
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import pod_annotations, pods
from labkit.glassbox.resources.validation.fields import forbidden, invalid, items

RESIZABLE = ("cpu", "memory")
LISTS = ("containers", "initContainers")


def resized(pod: dict, old: dict, class_of: str) -> Iterator[Cause]:
    """Check the pod with its new amounts; `class_of` is the quality of service that they would give it."""
    if pod_annotations.MIRROR in (old["metadata"].get("annotations") or {}):
        yield forbidden("", "static pods cannot be resized")
        return
    if dig(old, "spec.os.name") == "windows":
        yield forbidden("", "windows pods cannot be resized")
        return
    yield from pods.whole(pod)
    if class_of != (held_class := dig(old, "status.qosClass", "")):
        yield invalid("spec", held_class, "Pod QOS Class may not change as a result of resizing")
    moved = [cause for field in LISTS for cause in _moved(pod, old, field)]
    yield from moved
    if moved:
        return
    for field in reversed(LISTS):
        for (path, each), before in _pairs(pod, old, field):
            yield from _removed(each, before, f"{path}.resources")
    for field in LISTS:
        for (_, each), before in _pairs(pod, old, field):
            if _others(each) != _others(before):
                yield forbidden("spec", "only cpu and memory resources are mutable")


def _moved(pod: dict, old: dict, field: str) -> Iterator[Cause]:
    new, held = (each["spec"].get(field) or [] for each in (pod, old))
    if len(new) != len(held):
        yield forbidden(f"spec.{field}", f"{field} may not be added or removed on resize")
        return
    for (path, each), before in _pairs(pod, old, field):
        if each.get("name") != before["name"]:
            yield forbidden(f"{path}.name", f"{field} may not be renamed or reordered on resize")


def _pairs(pod: dict, old: dict, field: str) -> Iterator[tuple[tuple[str, dict], dict]]:
    new, held = (each["spec"].get(field) or [] for each in (pod, old))
    return zip(items(new, f"spec.{field}"), held, strict=True)


def _removed(new: dict, held: dict, path: str) -> Iterator[Cause]:
    for kind in ("requests", "limits"):
        wanted, had = (dig(each, f"resources.{kind}") or {} for each in (new, held))
        if set(had) - set(wanted):
            yield forbidden(f"{path}.{kind}", f"resource {kind} cannot be removed")


def _others(container: dict) -> list[dict]:
    """Return the amounts that a resize leaves as they are."""
    return [
        {name: quantity.parse(amount) for name, amount in given.items() if name not in RESIZABLE}
        for given in (dig(container, f"resources.{kind}") or {} for kind in ("limits", "requests"))
    ]
