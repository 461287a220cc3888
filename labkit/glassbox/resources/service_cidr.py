"""ServiceCIDR and IPAddress: from which ranges services have their addresses, and whose each address is.

Upstream: pkg/registry/networking/{servicecidr,ipaddress}/strategy.go
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.columns import AGE, NAME
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import invalid, items, required
from labkit.glassbox.resources.validation.internal_struct import unchanged

GROUP = "networking.k8s.io"
FINALIZER = "networking.k8s.io/service-cidr-finalizer"
FAMILIES = "when two CIDRs are specified, they must be of different IP families"


class ServiceCIDRStrategy(Strategy):
    has_status = True
    immutable = ("spec.cidrs",)

    def faults(self, obj: dict) -> Iterator[Cause]:
        given = dig(obj, "spec.cidrs") or []
        if not given:
            yield required("spec.cidrs", "at least one CIDR required")
        elif len(given) > 2:
            yield invalid("spec", obj["spec"], "may only hold up to 2 values")
        for path, each in items(given, "spec.cidrs"):
            yield from names.check(names.cidr, path, each)
        found = [names.network(each) for each in given]
        if len(found) == 2 and None not in found and len({each.version for each in found if each}) == 1:
            yield invalid("spec.cidrs", given, FAMILIES)


class IPAddressStrategy(Strategy):
    """Its name is the address."""

    name_rule = staticmethod(names.address)

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from self.faults(obj)
        new, held = dig(obj, "spec.parentRef"), dig(old, "spec.parentRef")
        yield from unchanged("spec.parentRef", new, held, "ParentReference")

    def faults(self, obj: dict) -> Iterator[Cause]:
        name = obj["metadata"].get("name", "")
        if not names.address(name) and str(ipaddress.ip_address(name)) != name:
            yield invalid("metadata.name", name, "must be a canonical format IP address")
        parent = dig(obj, "spec.parentRef")
        if parent is None:
            yield required("spec.parentRef")
            return
        for field in ("resource", "name"):
            if not parent.get(field):
                yield required(f"spec.parentRef.{field}")


def parent(obj: dict, now: float) -> str:
    of = dig(obj, "spec.parentRef") or {}
    kind = of.get("resource", "") + (f".{of['group']}" if of.get("group") else "")
    return "/".join(filter(None, (kind, of.get("namespace"), of.get("name"))))


SERVICE_CIDRS = Resource(
    group=GROUP,
    kind="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    strategy=ServiceCIDRStrategy(),
    subresources=("status",),
    columns=(
        NAME,
        Column("CIDRs", lambda obj, now: ",".join(dig(obj, "spec.cidrs") or []), describes="spec.cidrs"),
        AGE,
    ),
)
IP_ADDRESSES = Resource(
    group=GROUP,
    kind="IPAddress",
    plural="ipaddresses",
    namespaced=False,
    strategy=IPAddressStrategy(),
    short_names=("ip",),
    columns=(NAME, Column("ParentRef", parent, describes="spec.parentRef"), replace(AGE, name="")),
)
