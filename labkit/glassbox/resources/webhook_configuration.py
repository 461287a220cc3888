"""MutatingWebhookConfiguration, ValidatingWebhookConfiguration: who else is asked about what is written.

Upstream: pkg/registry/admissionregistration, pkg/apis/admissionregistration/v1/defaults.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import webhooks

GROUP = "admissionregistration.k8s.io"


class WebhookConfigurationStrategy(Strategy):
    counts_generation = True
    faults = staticmethod(webhooks.configuration)

    def changes_generation(self, obj: dict, old: dict) -> bool:
        return obj.get("webhooks") != old.get("webhooks")


def _configuration(kind: str) -> Resource:
    return Resource(
        group=GROUP,
        kind=kind,
        plural=f"{kind.lower()}s",
        namespaced=False,
        strategy=WebhookConfigurationStrategy(),
        categories=("api-extensions",),
        columns=(
            NAME,
            Column(
                "Webhooks",
                lambda obj, now: len(obj.get("webhooks") or ()),
                description="Webhooks indicates the number of webhooks registered in this configuration",
                type="integer",
            ),
            AGE,
        ),
    )


MUTATING = _configuration("MutatingWebhookConfiguration")
VALIDATING = _configuration("ValidatingWebhookConfiguration")
