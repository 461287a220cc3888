"""CronJob: a job again and again, by the clock.

Upstream: pkg/registry/batch/cronjob/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, NONE, at, dig, of_selector, of_template, since
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import group_warnings, jobs


class CronJobStrategy(Strategy):
    has_status = True
    counts_generation = True
    pod_template = "spec.jobTemplate.spec.template"
    names_pods = True

    def faults(self, obj: dict) -> Iterable[Cause]:
        return [*jobs.cronjob(obj), *jobs.short_enough(obj)]

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return jobs.cronjob(obj, old)

    def warnings(self, obj: dict) -> list[str]:
        spec = obj.get("spec") or {}
        of_job = group_warnings.job(dig(spec, "jobTemplate.spec") or {}, "spec.jobTemplate.spec")
        return [*of_job, *super().warnings(obj), *group_warnings.schedule(spec)]


def last_schedule(obj: dict, now: float) -> str:
    last = dig(obj, "status.lastScheduleTime")
    return since(last, now) if last else NONE


CRONJOBS = Resource(
    group="batch",
    kind="CronJob",
    plural="cronjobs",
    strategy=CronJobStrategy(),
    short_names=("cj",),
    categories=("all",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Schedule", at("spec.schedule"), describes="spec.schedule"),
        Column("Timezone", at("spec.timeZone", NONE), describes="spec.timeZone"),
        Column(
            "Suspend",
            lambda obj, now: str(dig(obj, "spec.suspend", "<unset>")),
            describes="spec.suspend",
            type="boolean",
        ),
        Column(
            "Active", lambda obj, now: len(dig(obj, "status.active") or ()), describes="status.active", type="integer"
        ),
        Column("Last Schedule", last_schedule, describes="status.lastScheduleTime"),
        AGE,
        *of_template("spec.jobTemplate.spec.template"),
        of_selector("spec.jobTemplate.spec.selector"),
    ),
)
