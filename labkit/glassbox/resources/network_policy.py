"""NetworkPolicy: which pods may talk to which.

Upstream: pkg/registry/networking/networkpolicy/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, dig, format_selector
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import group_warnings, policies


class NetworkPolicyStrategy(Strategy):
    counts_generation = True

    def faults(self, obj: dict) -> Iterable[Cause]:
        return policies.network_policy(obj)

    def warnings(self, obj: dict) -> list[str]:
        return group_warnings.network_policy(obj)


NETWORK_POLICIES = Resource(
    group="networking.k8s.io",
    kind="NetworkPolicy",
    plural="networkpolicies",
    strategy=NetworkPolicyStrategy(),
    short_names=("netpol",),
    columns=(
        NAME,
        Column(
            "Pod-Selector",
            lambda obj, now: format_selector(dig(obj, "spec.podSelector")),
            describes="spec.podSelector",
        ),
        AGE,
    ),
)
