"""What a NetworkPolicy must satisfy.

Upstream: pkg/apis/networking/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import forbidden, invalid, items, one_of, required
from labkit.glassbox.resources.validation.metadata import label_selector

TYPES, PROTOCOLS = ("Ingress", "Egress"), ("TCP", "UDP", "SCTP")


def network_policy(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from label_selector(spec.get("podSelector") or {}, "spec.podSelector")
    for kind, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(kind) or []):
            path = f"spec.{kind}[{index}]"
            for number, port in enumerate(rule.get("ports") or []):
                yield from _port(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers) or []):
                yield from _peer(peer, f"{path}.{peers}[{number}]")
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        yield invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for index, each in enumerate(types):
        yield from one_of(f"spec.policyTypes[{index}]", each, TYPES)


def _port(given: dict, path: str) -> Iterator[Cause]:
    yield from one_of(f"{path}.protocol", given.get("protocol", "TCP"), PROTOCOLS)
    port, end = given.get("port"), given.get("endPort")
    if end is not None and not isinstance(port, int):
        told = "not specified" if port is None else "non-numeric"
        yield invalid(f"{path}.endPort", end, f"may not be specified when `port` is {told}")
    if port is not None:
        yield from names.check_port(port, f"{path}.port")
    if end is not None and isinstance(port, int):
        if end < port:
            yield invalid(f"{path}.endPort", port, "must be greater than or equal to `port`")
        yield from names.check_port(end, f"{path}.endPort")


def _peer(given: dict, path: str) -> Iterator[Cause]:
    selectors = [field for field in ("podSelector", "namespaceSelector") if given.get(field) is not None]
    for field in selectors:
        yield from label_selector(given[field], f"{path}.{field}")
    block = given.get("ipBlock")
    if block is not None:
        yield from _block(block, f"{path}.ipBlock")
    if selectors and block is not None:
        yield forbidden(path, "may not specify both ipBlock and another peer")
    elif not selectors and block is None:
        yield required(path, "must specify a peer")


def _block(given: dict, path: str) -> Iterator[Cause]:
    cidr = given.get("cidr", "")
    if not cidr:
        yield required(f"{path}.cidr")
        return
    yield from names.check(names.cidr, f"{path}.cidr", cidr)
    network = names.network(cidr)
    for at, each in items(given.get("except") if network else (), f"{path}.except"):
        yield from names.check(names.cidr, at, each)
        inner = names.network(each)
        if inner is None or network is None:
            continue
        if inner.version != network.version or not (inner.subnet_of(network) and inner != network):  # type: ignore[arg-type]
            yield invalid(at, each, "must be a strict subset of `cidr`")
