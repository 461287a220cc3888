"""Deletes a job some time after it has ended: spec.ttlSecondsAfterFinished.

The copy may not show yet that the time was made longer, so the job is read from the API before it is deleted.

Upstream: pkg/controller/ttlafterfinished/ttlafterfinished_controller.go
"""

from __future__ import annotations

from labkit.glassbox import clock, objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.errors import ApiError


class TTLAfterFinishedController(Controller):
    """The key is a job."""

    name = "ttl-after-finished-controller"

    @property
    def watches(self):
        return {"jobs": itself}

    def reconcile(self, key: str) -> None:
        if (job := self.cache["jobs"].get(key)) is None or self.wait(job) is None:
            return
        try:
            job = self.api.get("jobs", objects.name(job), objects.namespace(job))
            if (wait := self.wait(job)) is None:
                return
            if wait > 0:
                self.queue.add_after(key, wait)
                return
            where = objects.name(job), objects.namespace(job)
            self.api.delete("jobs", *where, uid=objects.uid(job), propagation_policy="Foreground")
        except ApiError as error:
            if error.code != 404:
                raise

    def wait(self, job: dict) -> float | None:
        """Return the seconds until the job is to go, None when it stays."""
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        end = next(
            (objects.condition(job, each) for each in ("Complete", "Failed") if objects.is_true(job, each)), None
        )
        if ttl is None or end is None or objects.is_deleting(job):
            return None
        return clock.parse(end["lastTransitionTime"]) + ttl - self.now()
