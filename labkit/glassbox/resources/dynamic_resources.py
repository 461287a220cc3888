"""DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice: devices that pods may claim.

They are kept and checked for who brings a driver and a scheduler of its own along; upstream's scheduler waits until it
has seen them all. This scheduler and these kubelets know no devices: a pod that claims one is refused by name.
Left out: when a taint was added.

Upstream: pkg/registry/resource, pkg/apis/resource/v1/defaults.go
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import device_slices, device_status, devices
from labkit.glassbox.resources.validation.internal_struct import unchanged

GROUP = "resource.k8s.io"


class DeviceClassStrategy(Strategy):
    counts_generation = True

    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from devices.device_class(obj.get("spec") or {})


class ClaimStrategy(Strategy):
    has_status = True

    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from devices.claim(dig(obj, "spec.devices") or {}, "spec.devices")

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        yield from unchanged("spec", obj.get("spec"), old.get("spec"), "ResourceClaimSpec")

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(device_status.claim_status(obj, old))


class TemplateStrategy(Strategy):
    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from devices.template(obj.get("spec") or {})

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        new, held = ({**(spec.get("metadata") or {}), **spec} for spec in (obj["spec"], old["spec"]))
        yield from unchanged("spec", new, held, "ResourceClaimTemplateSpec")


class SliceStrategy(Strategy):
    counts_generation = True

    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from device_slices.resource_slice(obj.get("spec") or {})

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        yield from device_slices.resource_slice(obj.get("spec") or {}, old.get("spec") or {})

    def warnings(self, obj: dict) -> list[str]:
        driver = dig(obj, "spec.driver") or ""
        told = f'spec.driver: driver names should be lowercase; "{driver}" contains uppercase characters'
        return [told] if driver != driver.lower() else []


def _state(obj: dict, now: float) -> str:
    status, leaving = obj.get("status") or {}, bool(obj["metadata"].get("deletionTimestamp"))
    states = ["deleted"] if leaving else []
    if status.get("allocation"):
        states.append("allocated")
        states += ["reserved"] if status.get("reservedFor") else []
    elif not leaving:
        states.append("pending")
    return ",".join(states)


DEVICE_CLASSES = Resource(
    group=GROUP,
    kind="DeviceClass",
    plural="deviceclasses",
    namespaced=False,
    strategy=DeviceClassStrategy(),
    columns=(NAME, AGE),
)
RESOURCE_CLAIMS = Resource(
    group=GROUP,
    kind="ResourceClaim",
    plural="resourceclaims",
    strategy=ClaimStrategy(),
    subresources=("status",),
    columns=(
        NAME,
        Column("State", _state, description="A summary of the current state (allocated, pending, reserved, etc.)."),
        AGE,
    ),
)
RESOURCE_CLAIM_TEMPLATES = Resource(
    group=GROUP,
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    strategy=TemplateStrategy(),
    columns=(NAME, AGE),
)
RESOURCE_SLICES = Resource(
    group=GROUP,
    kind="ResourceSlice",
    plural="resourceslices",
    namespaced=False,
    strategy=SliceStrategy(),
    columns=(
        NAME,
        Column("Node", at("spec.nodeName"), describes="spec.nodeName"),
        Column("Driver", at("spec.driver"), describes="spec.driver"),
        Column("Pool", at("spec.pool.name"), describes="spec.pool.name"),
        AGE,
    ),
    field_labels=("spec.driver", "spec.nodeName"),
)
