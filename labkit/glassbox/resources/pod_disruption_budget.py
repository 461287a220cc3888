"""PodDisruptionBudget: how many pods must stay when somebody evicts.

Upstream: pkg/registry/policy/poddisruptionbudget/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, dig, number
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import budgets, metadata


class PodDisruptionBudgetStrategy(Strategy):
    has_status = True
    counts_generation = True
    allow_unconditional_update = False  # a budget that changed under an eviction must not be written back
    empty_status = dict.fromkeys(("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"), 0)
    faults = staticmethod(budgets.budget)

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        told = metadata.conditions(dig(obj, "status.conditions"), "status.conditions")
        return [*told, *super().validate_status_update(obj, old)]


def amount(name: str, field: str, description: str) -> Column:
    return Column(name, lambda obj, now: str(dig(obj, f"spec.{field}", "N/A")), description=description)


POD_DISRUPTION_BUDGETS = Resource(
    group="policy",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    strategy=PodDisruptionBudgetStrategy(),
    short_names=("pdb",),
    subresources=("status",),
    columns=(
        NAME,
        amount("Min Available", "minAvailable", "The minimum number of pods that must be available."),
        amount("Max Unavailable", "maxUnavailable", "The maximum number of pods that may be unavailable."),
        number(
            "Allowed Disruptions",
            "status.disruptionsAllowed",
            "Calculated number of pods that may be disrupted at this time.",
        ),
        AGE,
    ),
)
