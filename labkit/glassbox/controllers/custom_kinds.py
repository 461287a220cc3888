"""Has the controllers know of custom kinds as they come and go.

Not a controller: it follows the definitions, keeps this process's registry up to date, and gives the controllers that
are about all kinds (the garbage collector, the namespaces', the quotas') a copy of each custom one's objects.

Upstream: pkg/controller/garbagecollector/garbagecollector.go (Sync), which asks discovery every 30 seconds instead
"""

from __future__ import annotations

from collections.abc import Sequence

from labkit.glassbox.client import Client
from labkit.glassbox.controller import Controller
from labkit.glassbox.informer import Informer
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.custom_resource import resources_of
from labkit.glassbox.resources.custom_resource_definition import is_true

DEFINITIONS = "customresourcedefinitions"


class CustomKinds:
    """What is defined, and the copies that follow it."""

    def __init__(self, api: Client, cache: dict[str, Informer], controllers: Sequence[Controller]):
        self.api, self.cache, self.controllers = api, cache, controllers
        self.known: dict[str, Informer] = {}
        cache[DEFINITIONS].handlers.append(self.on_event)

    def on_event(self, _type: str, _crd: dict) -> None:
        """Know the kinds that are served now, and no others."""
        defined = [crd for crd in self.cache[DEFINITIONS].list() if is_true(crd, "Established")]
        resources = [each for crd in defined for each in resources_of(crd, 0)]
        REGISTRY.set_custom(resources)
        wanted = {each.called for each in resources}
        for name in self.known.keys() - wanted:
            del self.cache[name]
            self.known.pop(name).end()
        for name in sorted(wanted - self.known.keys()):
            self.known[name] = self.cache[name] = Informer(self.api, name)
            for each in self.controllers:
                each.follow(name)
            self.cache[name].start()
