"""Keeps the proxy's table and certificates in step with the API, and tells each Ingress its address and its faults.

Everything is looked at again on every change: the table of a course's cluster is small, and is replaced as a whole.

Upstream: github.com/kubernetes/ingress-nginx, internal/ingress/controller/controller.go, …/status/status.go
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labkit.glassbox import objects
from labkit.glassbox.client import Client
from labkit.glassbox.controller import Controller, Keys
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import Informer
from labkit.glassbox.ingress import certificates, routes

WATCHED = ("ingresses", "ingressclasses", "services", "endpointslices", "secrets")


class IngressController(Controller):
    """One key: everything."""

    name = "ingress"

    def __init__(self, api: Client, cache: Mapping[str, Informer], recorder: EventRecorder, address: str,
                 serve: Callable[[list[routes.Route]], None], held: certificates.Certificates) -> None:  # fmt: skip
        super().__init__(api, cache, recorder)
        self.address, self.serve, self.certificates = address, serve, held
        self.said: dict[str, set[str]] = {}  # by Ingress: the faults that were told

    @property
    def watches(self) -> Mapping[str, Keys]:
        return dict.fromkeys(WATCHED, lambda _: ["everything"])

    def reconcile(self, key: str) -> None:
        own = routes.owned(self.cache["ingresses"].list(), self.cache["ingressclasses"].list())
        services, secrets = ({objects.key(each): each for each in self.cache[kind].list()}
                             for kind in ("services", "secrets"))  # fmt: skip
        table = routes.table(own, services, self.cache["endpointslices"].list())
        faults = self.certificates.update(certificates.wanted(own), secrets)
        self.serve(table)
        found = [*((route.ingress, route.backend.fault) for route in table),
                 *((wanted.ingress, fault) for wanted, fault in faults.items())]  # fmt: skip
        for ingress in own:
            self._tell(ingress, {fault for key, fault in found if fault and key == objects.key(ingress)})

    def _tell(self, ingress: dict, faults: set[str]) -> None:
        uid = objects.uid(ingress)
        for fault in sorted(faults - self.said.get(uid, set())):
            self.recorder.event(ingress, "Warning", "NotServed", fault)
        self.said[uid] = faults
        if objects.dig(ingress, "status.loadBalancer.ingress") != [{"ip": self.address}]:
            status = {"status": {"loadBalancer": {"ingress": [{"ip": self.address}]}}}
            self.api.patch("ingresses", objects.name(ingress), objects.namespace(ingress), status, subresource="status")
