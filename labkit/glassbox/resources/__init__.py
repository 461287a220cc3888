"""Every kind of this API: how it is named, what its writes must satisfy, how `kubectl get` shows it."""

from labkit.glassbox.resources.registry import REGISTRY, Registry
from labkit.glassbox.resources.resource import ALL_VERBS, SUBRESOURCES, Column, Resource, Subresource
from labkit.glassbox.resources.strategy import Strategy

__all__ = ["ALL_VERBS", "REGISTRY", "SUBRESOURCES", "Column", "Registry", "Resource", "Strategy", "Subresource"]
