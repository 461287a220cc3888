"""Node: a machine that runs pods.

Upstream: pkg/registry/core/node/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import node_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import names, scheduling, warnings
from labkit.glassbox.resources.validation.fields import duplicate, every, forbidden, invalid, items
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.resource_amounts import amount_of

DUAL_STACK = "invalid PodCIDRs. failed to check with dual stack with error"
CONFIG_SOURCE = {"namespace": names.dns_label, "name": names.dns_subdomain, "kubeletConfigKey": names.config_key}
ONCE = 'node updates may not change {} except from "" to valid'


class NodeStrategy(Strategy):
    """A kubelet registers its node together with its status; later writes of the node leave the status alone."""

    has_status = True

    def prepare_for_create(self, obj: dict) -> None:
        obj.setdefault("spec", {})
        obj.setdefault("status", {}).setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})

    def default(self, obj: dict) -> None:
        """The one range counts before the list of ranges, as for old kubelets."""
        spec = obj.get("spec") or {}
        ranges = spec.get("podCIDRs") or []
        if spec.get("podCIDR") and ranges[:1] != [spec["podCIDR"]]:
            spec["podCIDRs"] = [spec["podCIDR"]]
        elif ranges:
            spec["podCIDR"] = ranges[0]

    def faults(self, obj: dict) -> Iterable[Cause]:
        spec = obj.get("spec") or {}
        yield from scheduling.taints(spec.get("taints") or [], "metadata.taints")
        yield from _amounts(obj)
        ranges = spec.get("podCIDRs") or []
        yield from every(lambda each, at: names.check(names.cidr, at, each), ranges, "spec.podCIDRs")
        wrong = [each for each in ranges if names.cidr(each)]
        if wrong and len(ranges) > 1:
            told = f"{DUAL_STACK}:invalid CIDR address: {wrong[0]}"
            yield Cause("InternalError", f"Internal error: {told}", "spec.podCIDRs")
        if len(ranges) > 1 and (wrong or len(ranges) > len({":" in each for each in ranges})):
            yield invalid("spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family")

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        spec, held = obj.get("spec") or {}, old.get("spec") or {}
        yield from self.faults(obj)
        yield from self._state(obj)
        if held.get("podCIDRs") and spec.get("podCIDRs") != held["podCIDRs"]:
            yield forbidden("spec.podCIDRs", ONCE.format("podCIDR"))
        if held.get("providerID") and spec.get("providerID") != held["providerID"]:
            yield forbidden("spec.providerID", ONCE.format("providerID"))
        yield from _config_source(spec.get("configSource"), "spec.configSource")
        yield from scheduling.taints(spec.get("taints") or [], "metadata.taints")  # upstream looks twice
        if spec.get("externalID", "") != held.get("externalID", ""):
            yield forbidden("spec.externalID", "may not be updated")

    def warnings(self, obj: dict) -> list[str]:
        return warnings.node(obj)

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(self._state(obj))

    def _state(self, obj: dict) -> Iterable[Cause]:
        """Check what a kubelet tells of its node."""
        yield from _amounts(obj)
        seen: set = set()
        for path, each in items(dig(obj, "status.addresses"), "status.addresses"):
            which = (each.get("type"), each.get("address"))
            if which in seen:
                yield duplicate(path, struct("NodeAddress", each))
            seen.add(which)


def _config_source(given: dict | None, path: str) -> Iterable[Cause]:
    """Check whence a kubelet was once told its settings."""
    if given is None:
        return
    if (source := given.get("configMap")) is None:
        yield invalid(path, {"ConfigMap": None}, "exactly one reference subfield must be non-nil")
        return
    for field in ("uid", "resourceVersion"):
        if source.get(field):
            yield forbidden(f"{path}.configMap.{field}", f"{field} must not be set in spec")
    for field, rule in CONFIG_SOURCE.items():
        yield from names.needed(rule, f"{path}.configMap.{field}", source.get(field, ""))


def _amounts(node: dict) -> Iterable[Cause]:
    for field in ("capacity", "allocatable"):
        for name, amount in sorted((dig(node, f"status.{field}") or {}).items()):
            yield from amount_of(name, amount, f"status.{field}.{name}")


NODES = Resource(
    kind="Node",
    plural="nodes",
    namespaced=False,
    strategy=NodeStrategy(),
    short_names=("no",),
    subresources=("proxy", "status"),
    columns=node_columns.COLUMNS,
    field_labels=("spec.unschedulable",),
)
