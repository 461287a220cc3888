"""Job: pods that run until enough of them have succeeded.

Upstream: pkg/registry/batch/job/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox import clock, objects
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.columns import AGE, NAME, TEMPLATE, dig, human_duration
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import group_warnings, jobs
from labkit.glassbox.resources.validation.job_status import job_status

ORPHANED = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set"
    " propagationPolicy=Orphan to suppress this warning"
)


class JobStrategy(Strategy):
    has_status = True
    counts_generation = True
    orphans_by_default = True
    orphaning_warning = ORPHANED
    faults = staticmethod(jobs.job)
    pod_template = "spec.template"
    names_pods = True

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        if not obj["spec"].get("manualSelector"):
            select_by_uid(obj)
        template = obj["spec"]["template"]
        if labels := template["metadata"].get("labels"):
            obj["metadata"].setdefault("labels", dict(labels))

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return jobs.job_change(obj, old)

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(job_status(obj, old))

    def warnings(self, obj: dict) -> list[str]:
        return [*group_warnings.job(obj.get("spec") or {}, "spec"), *super().warnings(obj)]


def select_by_uid(job: dict) -> None:
    """Let the job select the pods that bear its UID: no two jobs can quarrel over a pod."""
    uid, name = job["metadata"]["uid"], job["metadata"].get("name", "")
    given = {jobs.UID: uid, jobs.NAME: name, jobs.OLD_UID: uid, jobs.OLD_NAME: name}
    meta = job["spec"]["template"]["metadata"]
    meta["labels"] = dict(sorted((given | (meta.get("labels") or {})).items()))
    job["spec"].setdefault("selector", {}).setdefault("matchLabels", {}).setdefault(jobs.UID, uid)


# What a finished job says comes before that it is being deleted, and that before what it is up to.
FINISHED, UNDERWAY = ("Complete", "Failed"), ("Suspended", "FailureTarget", "SuccessCriteriaMet")


def status(job: dict, now: float) -> str:
    for kind in FINISHED:
        if objects.is_true(job, kind):
            return kind
    if objects.is_deleting(job):
        return "Terminating"
    return next((kind for kind in UNDERWAY if objects.is_true(job, kind)), "Running")


def completions(job: dict, now: float) -> str:
    succeeded, wanted = dig(job, "status.succeeded", 0), dig(job, "spec.completions")
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    at_once = dig(job, "spec.parallelism", 0)
    return f"{succeeded}/1 of {at_once}" if at_once > 1 else f"{succeeded}/1"


def duration(job: dict, now: float) -> str:
    began, ended = dig(job, "status.startTime"), dig(job, "status.completionTime")
    if not began:
        return ""
    return human_duration((clock.parse(ended) if ended else now) - clock.parse(began))


JOBS = Resource(
    group="batch",
    kind="Job",
    plural="jobs",
    strategy=JobStrategy(),
    categories=("all",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Status", status, description="Status of the job."),
        Column("Completions", completions, describes="status.succeeded"),
        Column("Duration", duration, description="Time required to complete the job."),
        AGE,
        *TEMPLATE,
    ),
    field_labels=("status.successful",),
)
