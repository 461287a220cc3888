"""Which webhooks are configured: read from the store once, and again when a configuration has changed.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/configuration/{mutating,validating}_webhook_manager.go
"""

from __future__ import annotations

import orjson

from labkit.glassbox.resources import Resource
from labkit.glassbox.resources.webhook_configuration import MUTATING, VALIDATING
from labkit.glassbox.store import Store


class ConfiguredHooks:
    """The webhooks in the order in which they are asked: by their configuration's name, then as it lists them."""

    def __init__(self, store: Store):
        self.store = store
        self.known: dict[str, list[dict]] = {}
        for resource in (MUTATING, VALIDATING):
            store.subscribe(f"/registry/{resource.plural}/", lambda change: self.known.clear())

    @property
    def are_there(self) -> bool:
        return bool(self.of(MUTATING) or self.of(VALIDATING))

    def of(self, resource: Resource) -> list[dict]:
        """Return the webhooks of one of the two kinds."""
        if resource.plural not in self.known:
            rows = self.store.rows(f"/registry/{resource.plural}/")[0]
            found = [orjson.loads(row.value).get("webhooks") or [] for row in rows]
            self.known[resource.plural] = [hook for hooks in found for hook in hooks]
        return self.known[resource.plural]
