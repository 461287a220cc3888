"""PodTemplate: a pod template of its own, which nobody follows.

Upstream: pkg/registry/core/podtemplate/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import NAME, dig, format_labels, of_template
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import pods


class PodTemplateStrategy(Strategy):
    counts_generation = True
    pod_template = "template"

    def changes_generation(self, obj: dict, old: dict) -> bool:
        return obj.get("template") != old.get("template")

    def faults(self, obj: dict) -> Iterable[Cause]:
        return pods.template(obj.get("template") or {}, "template")


POD_TEMPLATES = Resource(
    kind="PodTemplate",
    plural="podtemplates",
    strategy=PodTemplateStrategy(),
    columns=(
        NAME,
        *of_template("template", priority=0),
        Column(
            "Pod Labels",
            lambda obj, now: format_labels(dig(obj, "template.metadata.labels")),
            description="The labels for the pod template.",
        ),
    ),
)
