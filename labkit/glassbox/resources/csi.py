"""CSIDriver, CSINode, VolumeAttachment, CSIStorageCapacity, VolumeAttributesClass: what volume drivers tell.

They are kept for who brings a driver along; this cluster's own volumes need none of them.

Upstream: pkg/registry/storage, pkg/apis/storage/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.columns import AGE, NAME, PLAIN, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    NOT_NEGATIVE,
    every,
    invalid,
    one_of,
    required,
    too_long,
    unique,
    unsupported,
)
from labkit.glassbox.resources.validation.internal_struct import unchanged

GROUP = "storage.k8s.io"
MODES, POLICIES = ("Ephemeral", "Persistent"), ("File", "None", "ReadWriteOnceWithFSType")
PROTECTION = "kubernetes.io/vac-protection"


class CSIDriverStrategy(Strategy):
    allow_unconditional_update = False

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from self.faults(obj)
        for path, field in (("attachedRequired", "attachRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")):
            yield from unchanged(f"spec.{path}", dig(obj, f"spec.{field}"), dig(old, f"spec.{field}"))

    def faults(self, obj: dict) -> Iterator[Cause]:
        spec, name = obj.get("spec", {}), obj["metadata"].get("name", "")
        if len(name) > 63:
            yield too_long("metadata.name", 63)
        yield from one_of("spec.fsGroupPolicy", spec.get("fsGroupPolicy"), POLICIES)
        for mode in spec.get("volumeLifecycleModes") or []:
            if mode not in MODES:
                yield unsupported("spec.volumeLifecycleModes", mode, MODES)
        seen: set = set()
        yield from every(
            lambda each, path: unique(f"{path}.audience", each.get("audience", ""), seen),
            spec.get("tokenRequests"),
            "spec.tokenRequests",
        )


class CSINodeStrategy(Strategy):
    allow_unconditional_update = False

    def default(self, obj: dict) -> None:
        spec = obj.setdefault("spec", {})
        spec["drivers"] = spec.get("drivers") or None

    def faults(self, obj: dict) -> Iterator[Cause]:
        seen: set = set()
        yield from every(self._driver, obj.get("spec", {}).get("drivers"), "spec.drivers", seen)

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from self.faults(obj)
        held = {each["name"]: each for each in dig(old, "spec.drivers") or []}
        for each in dig(obj, "spec.drivers") or []:
            before = held.get(each.get("name"), each)
            yield from unchanged("CSINodeDriver", each, before, "CSINodeDriver")

    def _driver(self, driver: dict, path: str, seen: set) -> Iterator[Cause]:
        yield from names.needed(names.dns_subdomain, f"{path}.name", driver.get("name", ""))
        yield from unique(f"{path}.name", driver.get("name", ""), seen)
        if not driver.get("nodeID"):
            yield required(f"{path}.nodeID")
        if dig(driver, "allocatable.count", 0) < 0:
            yield invalid(f"{path}.allocatable.count", driver["allocatable"]["count"], "must be a non negative value")


class VolumeAttachmentStrategy(Strategy):
    has_status = True
    empty_status = {"attached": False}
    allow_unconditional_update = False

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from self.faults(obj)
        yield from unchanged("spec", obj.get("spec"), old.get("spec"), "VolumeAttachmentSpec")

    def faults(self, obj: dict) -> Iterator[Cause]:
        spec = obj.get("spec", {})
        yield from names.needed(names.dns_subdomain, "spec.attacher", spec.get("attacher", ""))
        if not spec.get("nodeName"):
            yield required("spec.nodeName")
        source = spec.get("source") or {}
        if not source.get("persistentVolumeName") and not source.get("inlineVolumeSpec"):
            yield required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")


class CapacityStrategy(Strategy):
    immutable = ("nodeTopology", "storageClassName")

    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from names.needed(names.dns_subdomain, "storageClassName", obj.get("storageClassName", ""))
        for field in ("capacity", "maximumVolumeSize"):
            if quantity.parse(obj.get(field) or "0") < 0:
                yield invalid(field, obj[field], NOT_NEGATIVE)


class AttributesStrategy(Strategy):
    immutable = ("driverName", "parameters")

    def prepare_for_create(self, obj: dict) -> None:
        held = obj["metadata"].setdefault("finalizers", [])
        if PROTECTION not in held:
            held.append(PROTECTION)

    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from names.needed(names.dns_subdomain, "driverName", obj.get("driverName", ""))
        if not obj.get("parameters"):
            yield required("parameters", "must contain at least one key/value pair")


def _tokens(obj: dict, now: float) -> str:
    return ",".join(each.get("audience", "") for each in obj.get("spec", {}).get("tokenRequests") or []) or "<unset>"


def _modes(obj: dict, now: float) -> str:
    return ",".join(obj.get("spec", {}).get("volumeLifecycleModes") or []) or "<none>"


def _flag(name: str, path: str) -> Column:
    return Column(name, at(path, False), describes=path, type="boolean")


CSI_DRIVERS = Resource(
    group=GROUP,
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    strategy=CSIDriverStrategy(),
    columns=(
        NAME,
        _flag("AttachRequired", "spec.attachRequired"),
        _flag("PodInfoOnMount", "spec.podInfoOnMount"),
        _flag("StorageCapacity", "spec.storageCapacity"),
        Column("TokenRequests", _tokens, describes="spec.tokenRequests"),
        _flag("RequiresRepublish", "spec.requiresRepublish"),
        Column("Modes", _modes, describes="spec.volumeLifecycleModes"),
        AGE,
    ),
)
CSI_NODES = Resource(
    group=GROUP,
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    strategy=CSINodeStrategy(),
    columns=(
        NAME,
        Column(
            "Drivers",
            lambda obj, now: len(obj.get("spec", {}).get("drivers") or ()),
            description="Drivers indicates the number of CSI drivers registered on the node",
            type="integer",
        ),
        AGE,
    ),
)
VOLUME_ATTACHMENTS = Resource(
    group=GROUP,
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    strategy=VolumeAttachmentStrategy(),
    subresources=("status",),
    columns=(
        NAME,
        Column("Attacher", at("spec.attacher"), describes="spec.attacher", format="name"),
        Column("PV", at("spec.source.persistentVolumeName"), describes="spec.source.persistentVolumeName"),
        Column("Node", at("spec.nodeName"), describes="spec.nodeName"),
        _flag("Attached", "status.attached"),
        AGE,
    ),
)
CSI_STORAGE_CAPACITIES = Resource(
    group=GROUP,
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    strategy=CapacityStrategy(),
    columns=PLAIN,
)
VOLUME_ATTRIBUTES_CLASSES = Resource(
    group=GROUP,
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    namespaced=False,
    strategy=AttributesStrategy(),
    short_names=("vac",),
    columns=(NAME, Column("DriverName", at("driverName"), describes="driverName"), AGE),
)
