"""EndpointSlice and its elder, Endpoints: the addresses behind a service.

Upstream: pkg/registry/discovery/endpointslice/strategy.go, pkg/registry/core/endpoint/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, NONE, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import endpoints, group_warnings, warnings

SHOWN = 3  # entries of a cell; the others are counted
DEPRECATED = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"


class EndpointSliceStrategy(Strategy):
    counts_generation = True

    def changes_generation(self, obj: dict, old: dict) -> bool:
        return any(obj.get(field) != old.get(field) for field in ("endpoints", "ports", "addressType"))

    def faults(self, obj: dict) -> Iterable[Cause]:
        return endpoints.endpoint_slice(obj)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return [*endpoints.endpoint_slice(obj), *endpoints.same_address_type(obj, old)]

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        drop_topology(obj)

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        drop_topology(obj)
        super().prepare_for_update(obj, old)

    def warnings(self, obj: dict) -> list[str]:
        return group_warnings.endpoint_slice(obj)


def drop_topology(obj: dict) -> None:
    """Drop what the version before had."""
    for each in obj.get("endpoints") or []:
        each.pop("deprecatedTopology", None)


class EndpointsStrategy(Strategy):
    allow_create_on_update = True

    def faults(self, obj: dict) -> Iterable[Cause]:
        return endpoints.subsets(obj.get("subsets") or [])

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        """Leave alone what was there before: older rules may have allowed it."""
        return () if obj.get("subsets") == old.get("subsets") else self.faults(obj)

    def warnings(self, obj: dict) -> list[str]:
        return warnings.endpoints(obj)


def some_of(entries: list[str], nothing: str = NONE, gap: str = "") -> str:
    """Return the first entries of a cell, and how many more there are."""
    more = f"{gap}+ {len(entries) - SHOWN} more..." if len(entries) > SHOWN else ""
    return ",".join(entries[:SHOWN]) + more if entries else nothing


def slice_ports(obj: dict, now: float) -> str:
    return some_of([str(each["port"]) if each.get("port") else "*" for each in obj.get("ports") or []], "<unset>", " ")


def slice_addresses(obj: dict, now: float) -> str:
    return some_of([address for each in obj.get("endpoints") or [] for address in each["addresses"]], "<unset>", " ")


def subset_addresses(obj: dict, now: float) -> str:
    found = []
    for subset in obj.get("subsets") or []:
        ports = [f":{each['port']}" for each in subset.get("ports") or []] or [""]
        found += [each["ip"] + port for port in ports for each in subset.get("addresses") or []]
    return some_of(found, gap=" ")


ENDPOINT_SLICES = Resource(
    group="discovery.k8s.io",
    kind="EndpointSlice",
    plural="endpointslices",
    strategy=EndpointSliceStrategy(),
    columns=(
        NAME,
        Column("AddressType", at("addressType"), describes="addressType"),
        Column("Ports", slice_ports, describes="ports"),
        Column("Endpoints", slice_addresses, describes="endpoints"),
        AGE,
    ),
)
ENDPOINTS = Resource(
    kind="Endpoints",
    plural="endpoints",
    singular="endpoints",
    strategy=EndpointsStrategy(),
    short_names=("ep",),
    columns=(NAME, Column("Endpoints", subset_addresses, describes="subsets"), AGE),
    deprecated=DEPRECATED,
)
