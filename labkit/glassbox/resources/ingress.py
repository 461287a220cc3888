"""Ingress: from a host name and a path to a service; IngressClass: who does that.

Upstream: pkg/registry/networking/{ingress,ingressclass}/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, NONE, at, dig
from labkit.glassbox.resources.endpoint_slice import some_of
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import ingresses

IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
OLD_CLASS = "kubernetes.io/ingress.class"  # an annotation


class IngressStrategy(Strategy):
    has_status = True
    counts_generation = True
    empty_status = {"loadBalancer": {}}

    def faults(self, obj: dict) -> Iterable[Cause]:
        return ingresses.ingress(obj)

    def validate(self, obj: dict) -> list[Cause]:
        return [*super().validate(obj), *ingresses.one_class(obj)]

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(ingresses.status(obj.get("status") or {}))

    def warnings(self, obj: dict) -> list[str]:
        return ingresses.warnings(obj)


class IngressClassStrategy(Strategy):
    counts_generation = True

    def faults(self, obj: dict) -> Iterable[Cause]:
        return ingresses.ingress_class(obj)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return [*ingresses.same_controller(obj, old), *ingresses.ingress_class(obj)]


def hosts(obj: dict, now: float) -> str:
    return some_of([rule["host"] for rule in dig(obj, "spec.rules") or [] if rule.get("host")], "*", " ")


def address(obj: dict, now: float) -> str:
    return ",".join(
        each.get("ip") or each.get("hostname", "") for each in dig(obj, "status.loadBalancer.ingress") or []
    )


def parameters(obj: dict, now: float) -> str:
    given = dig(obj, "spec.parameters")
    if not given:
        return NONE
    return ".".join(filter(None, (given["kind"], given.get("apiGroup")))) + f"/{given['name']}"


INGRESSES = Resource(
    group="networking.k8s.io",
    kind="Ingress",
    plural="ingresses",
    strategy=IngressStrategy(),
    short_names=("ing",),
    subresources=("status",),
    columns=(
        NAME,
        Column(
            "Class",
            lambda obj, now: (
                dig(obj, "spec.ingressClassName") or (obj["metadata"].get("annotations") or {}).get(OLD_CLASS, NONE)
            ),
            description="The name of the IngressClass resource that should be used for additional configuration",
        ),
        Column("Hosts", hosts, description="Hosts that incoming requests are matched against before the ingress rule"),
        Column("Address", address, description="Address is a list containing ingress points for the load-balancer"),
        Column(
            "Ports",
            lambda obj, now: "80, 443" if dig(obj, "spec.tls") else "80",
            description="Ports of TLS configurations that open",
        ),
        AGE,
    ),
)
INGRESS_CLASSES = Resource(
    group="networking.k8s.io",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    strategy=IngressClassStrategy(),
    columns=(
        NAME,
        Column(
            "Controller",
            at("spec.controller"),
            description="Controller that is responsible for handling this class",
        ),
        Column("Parameters", parameters, description="A reference to a resource with additional parameters"),
        AGE,
    ),
)
