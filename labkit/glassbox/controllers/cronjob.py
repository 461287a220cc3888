"""Makes a job each time that a cron job's schedule says so.

A key comes back when the next start is due. The job's name holds the minute that it was due at, so that no start
happens twice, whoever dies in between. Of missed starts only the latest is made up for, and only within the deadline.

Left out: events about a schedule or a zone that cannot be read; the API server refuses both.

Upstream: pkg/controller/cronjob/cronjob_controllerv2.go, utils.go
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from labkit.glassbox import clock, cron, objects
from labkit.glassbox.controller import Controller, itself, owner
from labkit.glassbox.errors import ApiError

MANY = 100  # missed starts that are worth a warning
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MARGIN = 0.1  # seconds after a start is due before it is looked at, for clocks that differ
TOO_MANY = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"


@dataclass(frozen=True)
class Due:
    """The latest start that was due and has not happened, how many were missed, and when the next one is due."""

    start: float | None
    missed: int
    next: float | None


class CronJobController(Controller):
    """One round a key: note what became of its jobs, clean up old ones, start one if it is due."""

    name = "cronjob-controller"

    @property
    def watches(self):
        return {"cronjobs": itself, "jobs": owner("CronJob")}

    def reconcile(self, key: str) -> None:
        copy = self.cache["cronjobs"].get(key)
        if copy is None:
            return
        cronjob = {**deepcopy(copy), "status": deepcopy(copy.get("status") or {})}
        mine = [job for job in self.cache["jobs"].owned_by(objects.uid(copy)) if objects.is_owned_by(job, copy)]
        self.note_jobs(cronjob, mine)
        self.note_missing(cronjob, mine)
        for job in beyond_history(cronjob, mine):
            self.delete(cronjob, job)
        try:
            if not objects.is_deleting(cronjob) and not cronjob["spec"].get("suspend"):
                self.start_due(cronjob, key)
        finally:
            status = {field: value for field, value in cronjob["status"].items() if value}
            if status != (copy.get("status") or {}):
                self.api.update_status("cronjobs", {**cronjob, "status": status})

    # -- what became of its jobs

    def note_jobs(self, cronjob: dict, jobs: list[dict]) -> None:
        status = cronjob["status"]
        for job in jobs:
            listed, end = is_listed(cronjob, job), end_of(job)
            if not listed and not end and not is_listed(self.live("cronjobs", cronjob), job):
                message = f"Saw a job that the controller did not create or forgot: {objects.name(job)}"
                self.recorder.event(cronjob, "Warning", "UnexpectedJob", message)
            elif listed and end:
                strike(status, objects.uid(job))
                message = f"Saw completed job: {objects.name(job)}, condition: {end}"
                self.recorder.event(cronjob, "Normal", "SawCompletedJob", message)
            if end == "Complete":
                ended = job["status"].get("completionTime", "")
                status["lastSuccessfulTime"] = max(status.get("lastSuccessfulTime") or "", ended)

    def note_missing(self, cronjob: dict, jobs: list[dict]) -> None:
        """Strike jobs that are gone off the list."""
        known = set(map(objects.uid, jobs))
        for reference in list(cronjob["status"].get("active") or []):
            if reference["uid"] not in known and self.live("jobs", {"metadata": reference}) is None:
                message = f"Active job went missing: {reference['name']}"
                self.recorder.event(cronjob, "Normal", "MissingJob", message)
                strike(cronjob["status"], reference["uid"])

    def live(self, resource: str, obj: dict) -> dict | None:
        """Return the object of that name as the API knows it: the copies may be behind."""
        try:
            return self.api.get(resource, objects.name(obj), objects.namespace(obj))
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    def delete(self, cronjob: dict, job: dict) -> None:
        name = objects.name(job)
        try:
            self.api.delete("jobs", name, objects.namespace(job), propagation_policy="Background")
        except ApiError as error:
            if error.code == 404:
                return
            self.recorder.event(cronjob, "Warning", "FailedDelete", f"Deleted job: {error.message}")
            raise
        strike(cronjob["status"], objects.uid(job))
        self.recorder.event(cronjob, "Normal", "SuccessfulDelete", f"Deleted job {name}")

    # -- starting

    def start_due(self, cronjob: dict, key: str) -> None:
        zone = ZoneInfo(cronjob["spec"].get("timeZone") or "UTC")
        found = due(cronjob, cron.parse(cronjob["spec"]["schedule"]), zone, self.now())
        if found.next is not None:
            self.queue.add_after(key, found.next + MARGIN - self.now())
        if found.missed > MANY:
            self.recorder.event(cronjob, "Warning", "TooManyMissedTimes", TOO_MANY)
        if found.start is not None and self.may_start(cronjob, found.start):
            self.launch(cronjob, found.start)

    def may_start(self, cronjob: dict, start: float) -> bool:
        spec, active = cronjob["spec"], cronjob["status"].get("active") or []
        if start + spec.get("startingDeadlineSeconds", self.now()) < self.now():
            when = format_datetime(datetime.fromtimestamp(start, UTC))
            self.recorder.event(cronjob, "Warning", "MissSchedule", f"Missed scheduled time to start a job: {when}")
            return False
        if any(each["name"] == job_name(cronjob, start) for each in active):
            return False
        if active and spec.get("concurrencyPolicy") == "Forbid":
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.recorder.event(cronjob, "Normal", "JobAlreadyActive", message)
            return False
        return True

    def launch(self, cronjob: dict, start: float) -> None:
        if cronjob["spec"].get("concurrencyPolicy") == "Replace":
            for reference in list(cronjob["status"].get("active") or []):
                if job := self.live("jobs", {"metadata": reference}):
                    self.delete(cronjob, job)
        wanted = job_from(cronjob, start)
        try:
            job = self.api.create("jobs", wanted)
            self.recorder.event(cronjob, "Normal", "SuccessfulCreate", f"Created job {objects.name(job)}")
        except ApiError as error:
            found = self.live("jobs", wanted) if error.code == 409 else None
            if found is None:
                self.recorder.event(cronjob, "Warning", "FailedCreate", f"Error creating job: {error.message}")
                raise
            if not objects.is_owned_by(found, cronjob):
                return  # somebody else's
            job = found  # ours, from a round whose status was not written
        status = cronjob["status"]
        status["active"] = [*(status.get("active") or []), reference_to(job)]
        status["lastScheduleTime"] = clock.rfc3339(start)


def due(cronjob: dict, schedule: cron.Schedule | cron.Every, zone, now: float) -> Due:
    """Return the latest start since the last one, or since as long ago as the deadline allows."""
    last = (cronjob.get("status") or {}).get("lastScheduleTime") or cronjob["metadata"]["creationTimestamp"]
    earliest = clock.parse(last)
    if "startingDeadlineSeconds" in cronjob["spec"]:
        earliest = max(earliest, now - cronjob["spec"]["startingDeadlineSeconds"])
    first = schedule.next(earliest, zone)
    second = schedule.next(first, zone) if first is not None else None
    if first is None or first > now:
        return Due(None, 0, first)
    if second is None or second > now:
        return Due(first, 1, second)
    # An estimate, so that years of missed minutes cost no more than two: from there one looks at each.
    missed = int((now - first) // (second - first)) + 1
    start, upcoming = None, schedule.next(first + (missed - 2) * (second - first), zone)
    while upcoming is not None and upcoming <= now:
        start, upcoming = upcoming, schedule.next(upcoming, zone)
    return Due(start, missed, upcoming)


def end_of(job: dict) -> str:
    return next((type for type in ("Complete", "Failed") if objects.is_true(job, type)), "")


def is_listed(cronjob: dict | None, job: dict) -> bool:
    active = ((cronjob or {}).get("status") or {}).get("active") or []
    return any(each["uid"] == objects.uid(job) for each in active)


def strike(status: dict, uid: str) -> None:
    status["active"] = [each for each in status.get("active") or [] if each["uid"] != uid]


def beyond_history(cronjob: dict, jobs: list[dict]) -> list[dict]:
    """Return the oldest of the jobs that succeeded and of those that failed, beyond how many of each are kept."""
    surplus = []
    for end, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        ended = [job for job in jobs if end_of(job) == end and not objects.is_deleting(job)]
        ended.sort(key=lambda job: (job["status"].get("startTime") or "~", objects.name(job)))
        surplus += ended[: max(0, len(ended) - cronjob["spec"].get(limit, len(ended)))]
    return surplus


def job_name(cronjob: dict, start: float) -> str:
    return f"{objects.name(cronjob)}-{int(start) // 60}"


def job_from(cronjob: dict, start: float) -> dict:
    """Return the job for a start, owned by the cron job."""
    template = deepcopy(cronjob["spec"]["jobTemplate"])
    metadata = template.get("metadata") or {}
    zone = ZoneInfo(cronjob["spec"].get("timeZone") or "UTC")
    when = datetime.fromtimestamp(start, zone).isoformat().replace("+00:00", "Z")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(cronjob, start),
            "namespace": objects.namespace(cronjob),
            "labels": metadata.get("labels") or {},
            "annotations": {**(metadata.get("annotations") or {}), SCHEDULED_AT: when},
            "ownerReferences": [objects.owner_reference(cronjob, "CronJob", "batch/v1")],
        },
        "spec": template["spec"],
    }


def reference_to(job: dict) -> dict:
    fields = {field: job["metadata"][field] for field in ("name", "namespace", "uid", "resourceVersion")}
    return {"apiVersion": "batch/v1", "kind": "Job", **fields}
