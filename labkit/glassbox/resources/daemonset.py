"""DaemonSet: one pod on each node that is meant.

Upstream: pkg/registry/apps/daemonset/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME, TEMPLATE, dig, format_labels, number
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import workloads

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


class DaemonSetStrategy(Strategy):
    """An annotation counts the changes of the template alone; older versions of the API had a field for it."""

    has_status = True
    counts_generation = True
    faults = staticmethod(workloads.daemonset)
    immutable = ("spec.selector",)
    pod_template = "spec.template"
    empty_status = dict.fromkeys(
        ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0
    )

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        count_template(obj, 1)

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        super().prepare_for_update(obj, old)
        changed = dig(obj, "spec.template") != dig(old, "spec.template")
        count_template(obj, template_generation(old) + changed)


def template_generation(obj: dict) -> int:
    told = (obj["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "")
    return int(told) if told.isdigit() else 1


def count_template(obj: dict, generation: int) -> None:
    obj["metadata"]["annotations"] = {
        **(obj["metadata"].get("annotations") or {}),
        TEMPLATE_GENERATION: str(generation),
    }


DAEMONSETS = Resource(
    group="apps",
    kind="DaemonSet",
    plural="daemonsets",
    strategy=DaemonSetStrategy(),
    short_names=("ds",),
    categories=("all",),
    subresources=("status",),
    columns=(
        NAME,
        number("Desired", "status.desiredNumberScheduled"),
        number("Current", "status.currentNumberScheduled"),
        number("Ready", "status.numberReady"),
        number("Up-to-date", "status.updatedNumberScheduled"),
        number("Available", "status.numberAvailable"),
        Column(
            "Node Selector",
            lambda obj, now: format_labels(dig(obj, "spec.template.spec.nodeSelector")),
            describes="spec.template.spec.nodeSelector",
        ),
        AGE,
        *TEMPLATE,
    ),
)
