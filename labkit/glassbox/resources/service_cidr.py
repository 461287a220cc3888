"""ServiceCIDR and IPAddress: from which ranges services have their addresses, and whose each address is.

Upstream: pkg/registry/networking/{servicecidr,ipaddress}/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.columns import AGE, NAME
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import every, invalid, required
from labkit.glassbox.resources.validation.internal_struct import unchanged

GROUP = "networking.k8s.io"
FINALIZER = "networking.k8s.io/service-cidr-finalizer"
FAMILIES = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"


class ServiceCIDRStrategy(Strategy):
    has_status = True
    immutable = ("spec.cidrs",)

    def faults(self, obj: dict) -> Iterator[Cause]:
        given = dig(obj, "spec.cidrs") or []
        families = {each.version for each in map(names.network, given) if each}
        shown = {"CIDRs": given}
        if not given:
            yield required("spec.cidrs", "at least one CIDR required")
        elif len(given) > 2:
            yield invalid("spec.cidrs", shown, "may only hold up to 2 values")
        elif len(given) == 2 and len(families) < 2:
            yield invalid("spec.cidrs", shown, FAMILIES)
        else:
            yield from every(lambda each, at: names.check(names.canonical_cidr, at, each), given, "spec.cidrs")


class IPAddressStrategy(Strategy):
    """Its name is the address."""

    name_rule = staticmethod(names.canonical_address)

    def change_faults(self, obj: dict, old: dict) -> Iterator[Cause]:
        yield from self.faults(obj)
        new, held = dig(obj, "spec.parentRef"), dig(old, "spec.parentRef")
        yield from unchanged("spec.parentRef", new, held, "ParentReference")

    def faults(self, obj: dict) -> Iterator[Cause]:
        parent = dig(obj, "spec.parentRef")
        if parent is None:
            yield required("spec.parentRef")
            return
        if parent.get("group"):
            yield from names.check(names.dns_subdomain, "spec.parentRef.group", parent["group"])
        for field in ("resource", "name"):
            yield from names.needed(names.path_segment, f"spec.parentRef.{field}", parent.get(field))
        yield from names.check(names.path_segment, "spec.parentRef.namespace", parent.get("namespace", ""))


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
