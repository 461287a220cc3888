"""What a write of `pods/resize` may change: processor time and memory of containers that run.

Upstream: ValidatePodResize in pkg/apis/core/validation/validation.go, dropNonResizeUpdates in pkg/registry/core/pod
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation.fields import forbidden, invalid, items
from labkit.glassbox.resources.validation.resource_amounts import resources

RESIZABLE = ("cpu", "memory")


def resized(pod: dict, old: dict, class_of: str) -> Iterator[Cause]:
    """Check the pod with its new amounts; `class_of` is the quality of service that they would give it."""
    for field in ("containers", "initContainers"):
        new, held = (each["spec"].get(field) or [] for each in (pod, old))
        if [each.get("name") for each in new] != [each["name"] for each in held]:
            yield forbidden("spec", f"{field} may not be renamed or reordered on resize")
            return
        for (path, each), before in zip(items(new, f"spec.{field}"), held, strict=True):
            yield from _container(each, before, path, field == "initContainers")
    if class_of != (held_class := dig(old, "status.qosClass", "")):
        yield invalid("spec", class_of, f"Pod QOS Class may not change as a result of resizing (it is {held_class})")


def _container(new: dict, held: dict, path: str, init: bool) -> Iterator[Cause]:
    given, before = new.get("resources") or {}, held.get("resources") or {}
    if given == before:
        return
    if init and held.get("restartPolicy") != "Always":
        yield forbidden(f"{path}.resources", "resources for non-sidecar init containers are immutable")
    yield from resources(given, f"{path}.resources")
    for kind in ("limits", "requests"):
        wanted, had = given.get(kind) or {}, before.get(kind) or {}
        if set(had) - set(wanted):
            yield forbidden(f"{path}.resources.{kind}", f"resource {kind} cannot be removed")
        changed = [name for name in wanted if name not in had or not _same(wanted[name], had[name])]
        if set(changed) - set(RESIZABLE):
            yield forbidden("spec", "only cpu and memory resources are mutable")


def _same(one: str, other: str) -> bool:
    return quantity.parse(one) == quantity.parse(other)
