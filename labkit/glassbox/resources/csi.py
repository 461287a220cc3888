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
from labkit.glassbox.resources.validation import drivers, group_warnings, names
from labkit.glassbox.resources.validation.fields import (
    NOT_NEGATIVE,
    duplicate,
    every,
    forbidden,
    in_range,
    invalid,
    not_negative,
    one_of,
    required,
    too_long,
    unique,
)
from labkit.glassbox.resources.validation.internal_struct import unchanged
from labkit.glassbox.resources.validation.metadata import label_selector

GROUP = "storage.k8s.io"
MODES, POLICIES = ("Persistent", "Ephemeral"), ("File", "None", "ReadWriteOnceWithFSType")
PROTECTION = "kubernetes.io/vac-protection"


class CSIDriverStrategy(Strategy):
    allow_unconditional_update = False

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from self.faults(obj)
        for path, field in (("attachedRequired", "attachRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")):
            yield from unchanged(f"spec.{path}", dig(obj, f"spec.{field}"), dig(old, f"spec.{field}"))

    def faults(self, obj: dict) -> Iterator[Cause]:
        spec = obj.get("spec", {})
        yield from one_of("spec.fsGroupPolicy", spec.get("fsGroupPolicy"), POLICIES)
        seen: set = set()
        yield from every(self._token, spec.get("tokenRequests"), "spec.tokenRequests", seen)
        for mode in spec.get("volumeLifecycleModes") or []:
            yield from one_of("spec.volumeLifecycleModes", mode, MODES)
        if spec.get("nodeAllocatableUpdatePeriodSeconds", 10) < 10:
            period = spec["nodeAllocatableUpdatePeriodSeconds"]
            told = "must be greater than or equal to 10 seconds"
            yield invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, told)
        in_secrets = spec.get("serviceAccountTokenInSecrets")
        if in_secrets is not None and not spec.get("tokenRequests"):
            told = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
            yield invalid("spec.serviceAccountTokenInSecrets", in_secrets, told)

    def _token(self, given: dict, path: str, seen: set) -> Iterator[Cause]:
        audience, seconds = given.get("audience", ""), given.get("expirationSeconds", 600)
        if audience in seen:
            yield duplicate(f"{path}.audience", audience)
            return
        seen.add(audience)
        if seconds < 600:
            yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        if seconds > 1 << 32:
            yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")


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
            new, before = ({**one, "allocatable": None} for one in (each, held.get(each.get("name"), each)))
            yield from unchanged("spec.drivers", new, before, "CSINodeDriver")

    def _driver(self, driver: dict, path: str, seen: set) -> Iterator[Cause]:
        name, node = driver.get("name", ""), driver.get("nodeID", "")
        yield from drivers.driver_name(name, f"{path}.name")
        if not node:
            yield required(f"{path}.nodeID")
        if len(node) > 192:
            yield invalid(f"{path}.nodeID", node, "must be 192 characters or less")
        yield from not_negative(f"{path}.allocatable.count", dig(driver, "allocatable.count"))
        yield from unique(f"{path}.name", name, seen)
        keys: set = set()
        for key in driver.get("topologyKeys") or []:
            if not key:
                yield required(path)
            yield from unique(path, key, keys)
            yield from names.check(names.qualified_name, path, key)


class VolumeAttachmentStrategy(Strategy):
    has_status = True
    empty_status = {"attached": False}
    allow_unconditional_update = False

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from self.faults(obj)
        yield from unchanged("spec", obj.get("spec"), old.get("spec"), "VolumeAttachmentSpec")

    def faults(self, obj: dict) -> Iterator[Cause]:
        spec = obj.get("spec", {})
        yield from drivers.driver_name(spec.get("attacher", ""), "spec.attacher")
        yield from self._source(spec.get("source") or {}, "spec.source")
        if not spec.get("nodeName"):
            yield required("spec.nodeName")

    def _source(self, given: dict, path: str) -> Iterator[Cause]:
        name, inline = given.get("persistentVolumeName"), given.get("inlineVolumeSpec")
        if (name is None) == (inline is None):
            refused = required if name is None else forbidden
            yield refused(path, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
        elif inline is not None:
            yield from drivers.inline_volume(inline, f"{path}.inlineVolumeSpec")
        else:
            told = "must specify non empty persistentVolumeName"
            yield from names.needed(names.dns_subdomain, f"{path}.persistentVolumeName", name, told)

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(self._status(obj.get("status") or {}))

    def _status(self, status: dict) -> Iterator[Cause]:
        if drivers.size_of(status.get("attachmentMetadata") or {}) > drivers.LONGEST:
            yield too_long("status.attachmentMetadata", drivers.LONGEST)
        for path, error in ((f"status.{field}", status.get(field) or {}) for field in ("attachError", "detachError")):
            if len(error.get("message", "").encode()) > 1024:
                yield too_long(f"{path}.message", drivers.LONGEST)  # upstream tells another limit than it sets
            if error.get("errorCode", 0) < 0:
                yield from in_range(f"{path}.errorCode", error["errorCode"], 0, 2**31 - 1)


class CapacityStrategy(Strategy):
    immutable = ("nodeTopology", "storageClassName")

    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from label_selector(obj.get("nodeTopology") or {}, "nodeTopology")
        yield from names.needed(names.dns_subdomain, "storageClassName", obj.get("storageClassName", ""))
        if quantity.parse(obj.get("capacity") or "0") < 0:
            yield invalid("capacity", obj["capacity"], NOT_NEGATIVE)

    def warnings(self, obj: dict) -> list[str]:
        return group_warnings.storage_capacity(obj)


class AttributesStrategy(Strategy):
    immutable = ("driverName", "parameters")

    def prepare_for_create(self, obj: dict) -> None:
        held = obj["metadata"].setdefault("finalizers", [])
        if PROTECTION not in held:
            held.append(PROTECTION)

    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from names.needed(names.qualified_name, "driverName", obj.get("driverName", "").lower())
        yield from drivers.parameters(obj.get("parameters"), may_be_none=False)


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
