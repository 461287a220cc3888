"""DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice: devices that pods may claim.

They are kept and checked for who brings a driver and a scheduler of its own along; upstream's scheduler waits until it
has seen them all. This scheduler and these kubelets know no devices: a pod that claims one is refused by name.
Left out: whether an expression of CEL compiles, and when a taint was added.

Upstream: pkg/registry/resource, pkg/apis/resource/{v1/defaults.go,validation/validation.go}
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import metadata, names
from labkit.glassbox.resources.validation.fields import (
    every,
    invalid,
    required,
    too_long,
    too_many,
    unique,
    unsupported,
)

GROUP = "resource.k8s.io"
MOST, MOST_DEVICES = 32, 128
NODES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")  # where a slice's devices are, in one way


class DeviceClassStrategy(Strategy):
    counts_generation = True

    def faults(self, obj: dict) -> Iterator[Cause]:
        spec = obj.get("spec") or {}
        yield from _selectors(spec, "spec")
        yield from _at_most(spec, "spec", "config")
        yield from every(_configuration, spec.get("config"), "spec.config")


class ClaimStrategy(Strategy):
    has_status = True
    immutable = ("spec",)

    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from _claim(dig(obj, "spec.devices") or {}, "spec.devices")


class TemplateStrategy(Strategy):
    immutable = ("spec",)

    def faults(self, obj: dict) -> Iterator[Cause]:
        yield from metadata.validate_changeable(dig(obj, "spec.metadata") or {})
        yield from _claim(dig(obj, "spec.spec.devices") or {}, "spec.spec.devices")


class SliceStrategy(Strategy):
    counts_generation = True
    immutable = ("spec.nodeName", "spec.driver", "spec.pool.name", "spec.nodeSelector", "spec.allNodes")

    def faults(self, obj: dict) -> Iterator[Cause]:
        spec = obj.get("spec") or {}
        yield from _driver(spec.get("driver", ""), "spec.driver")
        yield from _pool(spec.get("pool") or {}, "spec.pool")
        chosen = [field for field in NODES if spec.get(field)]
        if len(chosen) != 1:
            told = "exactly one of " + ", ".join(f"`{field}`" for field in NODES) + " is required"
            several = f"{{{', '.join(chosen)}}}"
            yield invalid("spec", several, f"{told}, but multiple fields are set") if chosen else required("spec", told)
        if len(spec.get("devices") or ()) > MOST_DEVICES:
            yield too_many("spec.devices", len(spec["devices"]), MOST_DEVICES)
        yield from every(_named, spec.get("devices"), "spec.devices", set())


def _claim(claim: dict, path: str) -> Iterator[Cause]:
    for field in ("requests", "constraints", "config"):
        yield from _at_most(claim, path, field)
    yield from every(_request, claim.get("requests"), f"{path}.requests", set())
    requests = {each.get("name", "") for each in claim.get("requests") or ()}
    yield from every(_constraint, claim.get("constraints"), f"{path}.constraints", requests)
    yield from every(_configuration, claim.get("config"), f"{path}.config")


def _request(request: dict, path: str, seen: set) -> Iterator[Cause]:
    yield from _named(request, path, seen)
    exactly, choices = request.get("exactly"), request.get("firstAvailable")
    told = "exactly one of `exactly` or `firstAvailable` is required"
    if exactly is not None and choices:
        yield invalid(path, None, f"{told}, but multiple fields are set")
    elif exactly is not None:
        yield from _wanted(exactly, f"{path}.exactly")
    elif choices:
        yield from every(_choice, choices, f"{path}.firstAvailable", set())
    else:
        yield required(path, told)


def _choice(choice: dict, path: str, seen: set) -> Iterator[Cause]:
    yield from _named(choice, path, seen)
    yield from _wanted(choice, path)


def _wanted(wanted: dict, path: str) -> Iterator[Cause]:
    yield from names.needed(names.dns_subdomain, f"{path}.deviceClassName", wanted.get("deviceClassName", ""))
    yield from _selectors(wanted, path)
    mode, count = wanted.get("allocationMode"), wanted.get("count", 0)
    if mode == "All" and count:
        yield invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount" and count <= 0:
        yield invalid(f"{path}.count", count, "must be greater than zero")
    elif mode not in ("All", "ExactCount"):
        yield unsupported(f"{path}.allocationMode", mode, ("All", "ExactCount"))


def _constraint(constraint: dict, path: str, requests: set) -> Iterator[Cause]:
    for index, name in enumerate(constraint.get("requests") or ()):
        if name.partition("/")[0] not in requests:
            told = "must be the name of a request in the claim or the name of a request and a subrequest"
            yield invalid(f"{path}.requests[{index}]", name, f"{told} separated by '/'")
    if not constraint.get("matchAttribute") and not constraint.get("distinctAttribute"):
        yield required(path, 'exactly one of "matchAttribute" or "distinctAttribute" is required, but none are set')


def _selectors(holder: dict, path: str) -> Iterator[Cause]:
    yield from _at_most(holder, path, "selectors")
    for index, each in enumerate(holder.get("selectors") or ()):
        if not dig(each, "cel.expression"):
            yield required(f"{path}.selectors[{index}].cel" + (".expression" if each.get("cel") else ""))


def _configuration(config: dict, path: str) -> Iterator[Cause]:
    if config.get("opaque") is None:
        yield required(f"{path}.opaque")
    else:
        yield from _driver(config["opaque"].get("driver", ""), f"{path}.opaque.driver")


def _driver(name: str, path: str) -> Iterator[Cause]:
    if len(name) > 63:
        yield too_long(path, 63)
    yield from names.needed(names.dns_subdomain, path, name)


def _pool(pool: dict, path: str) -> Iterator[Cause]:
    if not pool.get("name"):
        yield required(f"{path}.name")
    if pool.get("resourceSliceCount", 0) <= 0:
        yield invalid(f"{path}.resourceSliceCount", pool.get("resourceSliceCount", 0), "must be greater than zero")
    if pool.get("generation", 0) < 0:
        yield invalid(f"{path}.generation", pool["generation"], "must be greater than or equal to zero")


def _named(obj: dict, path: str, seen: set) -> Iterator[Cause]:
    yield from names.needed(names.dns_label, f"{path}.name", obj.get("name", ""))
    yield from unique(path, obj.get("name", ""), seen)


def _at_most(holder: dict, path: str, field: str) -> Iterator[Cause]:
    if len(holder.get(field) or ()) > MOST:
        yield too_many(f"{path}.{field}", len(holder[field]), MOST)


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
