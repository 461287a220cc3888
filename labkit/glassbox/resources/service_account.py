"""ServiceAccount: who a pod is, to the API.

Upstream: pkg/registry/core/serviceaccount/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy

ENFORCE_SECRETS = "kubernetes.io/enforce-mountable-secrets"
OUTDATED = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"


class ServiceAccountStrategy(Strategy):
    """Whoever newly asks that its pods use only the secrets that it names is told that this goes out of use."""

    warns_of_news = True

    def warnings(self, obj: dict) -> list[str]:
        asked = ENFORCE_SECRETS in (obj["metadata"].get("annotations") or {})
        return [f"metadata.annotations[{ENFORCE_SECRETS}]: {OUTDATED}"] if asked else []


SERVICE_ACCOUNTS = Resource(
    kind="ServiceAccount",
    plural="serviceaccounts",
    strategy=ServiceAccountStrategy(),
    short_names=("sa",),
    subresources=("token",),
    columns=(NAME, AGE),
)
