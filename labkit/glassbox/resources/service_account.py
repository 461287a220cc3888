"""ServiceAccount: who a pod is, to the API.

Upstream: pkg/registry/core/serviceaccount/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy


class ServiceAccountStrategy(Strategy):
    pass


SERVICE_ACCOUNTS = Resource(
    kind="ServiceAccount",
    plural="serviceaccounts",
    strategy=ServiceAccountStrategy(),
    short_names=("sa",),
    subresources=("token",),
    columns=(NAME, AGE),
)
