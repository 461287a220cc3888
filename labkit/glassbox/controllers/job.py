"""Runs pods until enough of them have succeeded, or too many have failed.

Each pod that ended is counted exactly once, whatever dies when: its UID goes into status.uncountedTerminatedPods, then
its finalizer is taken off, then the UID becomes one more in the counter. A job's end is told in two steps too: the
target at once, the final condition when its last pod has gone and all are counted.

A round either makes and deletes pods or counts; what it wrote is seen by the next one. The copies may be behind that; a
key waits until they have caught up, or it would make a pod for a completion that is counted already.

Left out: batching of rounds by the second, the limit of 500 uncounted pods a status.

Upstream: pkg/controller/job/job_controller.go
"""

from __future__ import annotations

from copy import deepcopy

from labkit.glassbox import clock, objects
from labkit.glassbox.controllers import job_plan, job_pods
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.claims import claim, selects
from labkit.glassbox.controllers.job_plan import Round, Streak, Verdict
from labkit.glassbox.controllers.job_pods import is_indexed, is_tracked
from labkit.glassbox.controllers.pod_owner import LOOK_AGAIN, PodOwnerController
from labkit.glassbox.errors import ApiError

OURS = "kubernetes.io/job-controller"
OMITTED = ("active", "succeeded", "failed", "completedIndexes")  # from a status, when there are none


class JobController(PodOwnerController):
    """One round a key: judge, then make or delete pods, else count what ended."""

    name = "job-controller"
    workers = 5
    kind, resource = "Job", "jobs"

    def __init__(self, api, cache, recorder):
        super().__init__(api, cache, recorder)
        self.written: dict[str, dict[str, int]] = {}  # key → resource → the version that its copy must have reached
        self.streaks: dict[str, Streak] = {}

    def reconcile(self, key: str) -> None:
        job = self.cache["jobs"].get(key)
        self.free_strays(key, job)
        if job is None or is_finished(job):
            self.forget(key)
        elif job["spec"].get("managedBy", OURS) == OURS:
            super().reconcile(key)

    def sync(self, owner: dict) -> None:
        key = objects.key(owner)
        if self.is_behind(key):
            self.queue.add_after(key, LOOK_AGAIN)
        else:
            self.run(key, deepcopy(owner))

    def run(self, key: str, job: dict) -> None:
        stored = deepcopy(job.get("status"))
        candidates = self.cache["pods"].list(objects.namespace(job))
        pods = claim(self.api, job, "pods", candidates, finalizers=[job_pods.TRACKING])
        begin(job, pods, self.now())
        at = Round.of(job, pods, self.streaks.get(key, Streak()), self.now())
        verdict, failure = job_plan.verdict(at), None
        try:
            if self.act(key, at, verdict, stored):
                return
        except ApiError as error:
            verdict, failure = None, error  # while pods are left it is not over
        if not verdict and not failure and job_plan.is_complete(at):
            verdict = job_plan.COMPLETED
        if not verdict and not objects.is_deleting(job):
            self.note_suspension(job)
        self.count(key, at, verdict, stored)
        if failure:
            raise failure

    # -- pods

    def act(self, key: str, at: Round, verdict: Verdict | None, stored: dict | None) -> bool:
        """Make or delete pods; tell whether anything was done."""
        if verdict and at.active and not objects.is_true(at.job, verdict.target):
            # Before pods are deleted for it: those might look like failures, and make it another verdict.
            self.tell_target(at, verdict)
            self.store(key, at.job, stored)
            return True
        if objects.is_deleting(at.job) and not verdict:
            return False
        plan = job_plan.Plan(delete=at.active) if verdict else job_plan.plan(at)
        for pod in plan.delete:
            if not verdict:
                self.free(key, pod)  # it is not to be counted as failed
            self.pods.delete(at.job, pod)
        for index in plan.create:
            replaced = None if index is None else at.awaiting.get(index)
            self.pods.create(at.job, job_pods.pod_for(at.job, index, replaced))
        for wait in (plan.wait, job_plan.seconds_left(at)):
            if wait and not verdict:
                self.queue.add_after(key, wait)
        return bool(plan.delete or plan.create)

    def free(self, key: str, pod: dict) -> None:
        """Take the finalizer off a pod."""
        patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [job_pods.TRACKING], "uid": objects.uid(pod)}}
        try:
            freed = self.api.patch("pods", objects.name(pod), objects.namespace(pod), patch, kind="strategic")
            self.note("pods", key, freed)
        except ApiError as error:
            if error.code not in (404, 409):  # it is gone, another has its name
                raise

    def free_strays(self, key: str, job: dict | None) -> None:
        """Let go of pods that nobody will count: their job has gone or ended, or they have lost it."""
        namespace, _, name = key.partition("/")
        for pod in filter(is_tracked, self.cache["pods"].list(namespace)):
            owner = objects.controller_of(pod)
            if owner is None:
                jobs = self.cache["jobs"].list(namespace)
                stray = not any(selects(each, pod) for each in jobs if not is_finished(each))
            else:
                counted = job is not None and not is_finished(job) and owner["uid"] == objects.uid(job)
                stray = (owner["kind"], owner["name"]) == ("Job", name) and not counted
            if stray:
                self.free(key, pod)

    # -- the status

    def count(self, key: str, at: Round, verdict: Verdict | None, stored: dict | None) -> None:
        """Write down what ended, let it go, add it up; in this order, so that nothing is lost or counted twice."""
        job, status = at.job, at.job["status"]
        done = note_ended(at, verdict)
        if verdict:
            self.tell_target(at, verdict)
        stored = self.store(key, job, stored)
        self.streaks[key] = at.streak
        for pod in done:
            self.free(key, pod)
        add_up(status, uids(filter(is_tracked, at.pods)) - uids(done))
        over = verdict if not status["uncountedTerminatedPods"] and not status["terminating"] else None
        if over:
            tell(status, over.final, over.reason, over.message, at.now)
            status |= {"completionTime": clock.rfc3339(at.now)} if over.succeeded else {}
        self.store(key, job, stored)
        if over:
            self.announce(job, over)

    def tell_target(self, at: Round, verdict: Verdict) -> None:
        if not objects.is_true(at.job, verdict.target):
            tell(at.job["status"], verdict.target, verdict.reason, verdict.message, at.now)

    def store(self, key: str, job: dict, stored: dict | None) -> dict:
        """Store the status if it is another; return what is stored."""
        wanted = {field: value for field, value in job["status"].items() if value or field not in OMITTED}
        if wanted != stored:
            written = self.api.update_status("jobs", {**job, "status": wanted})
            self.note("jobs", key, written)
            job["metadata"] = written["metadata"]
        return deepcopy(wanted)

    def note_suspension(self, job: dict) -> None:
        suspended = job["spec"].get("suspend", False)
        if suspended == objects.is_true(job, "Suspended"):
            return
        done, now = "Suspended" if suspended else "Resumed", self.now()
        tell(job["status"], "Suspended", f"Job{done}", f"Job {done.lower()}", now, str(suspended))
        self.recorder.event(job, "Normal", done, f"Job {done.lower()}")
        if not suspended:  # the deadline counts from here
            job["status"]["startTime"] = clock.rfc3339(now)

    def announce(self, job: dict, over: Verdict) -> None:
        if not over.succeeded:
            self.recorder.event(job, "Warning", over.reason, over.message)
            return
        succeeded = job["status"].get("succeeded", 0)
        if succeeded > job["spec"].get("completions", succeeded):
            message = "Too many succeeded pods running after completion count reached"
            self.recorder.event(job, "Warning", "TooManySucceededPods", message)
        self.recorder.event(job, "Normal", "Completed", "Job completed")

    # -- keeping up with the copies

    def note(self, resource: str, key: str, written: dict) -> None:
        self.written.setdefault(key, {})[resource] = int(written["metadata"]["resourceVersion"])

    def is_behind(self, key: str) -> bool:
        written = self.written.get(key, {})
        return any(int(self.cache[each].version or 0) < version for each, version in written.items())

    def forget(self, key: str) -> None:
        self.written.pop(key, None)
        self.streaks.pop(key, None)
        self.pods.expectations.forget(key)


def is_finished(job: dict) -> bool:
    return objects.is_true(job, "Complete") or objects.is_true(job, "Failed")


def uids(pods) -> set[str]:
    return set(map(objects.uid, pods))


def begin(job: dict, pods: list[dict], now: float) -> None:
    """Bring the status to where a round starts: with a start time, and what an earlier round let go of added up."""
    status = job.setdefault("status", {})
    status.setdefault("uncountedTerminatedPods", {})
    if "startTime" not in status and not job["spec"].get("suspend"):
        status["startTime"] = clock.rfc3339(now)
    add_up(status, uids(filter(is_tracked, pods)))


def add_up(status: dict, tracked: set[str]) -> None:
    """Turn the uncounted pods that have no finalizer any more into counters."""
    left = {}
    for kind, ended in status["uncountedTerminatedPods"].items():
        left[kind] = [uid for uid in ended if uid in tracked]
        status[kind] = status.get(kind, 0) + len(ended) - len(left[kind])
    status["uncountedTerminatedPods"] = {kind: ended for kind, ended in left.items() if ended}


def note_ended(at: Round, verdict: Verdict | None) -> list[dict]:
    """Write into the status how the pods are; return those that have ended, or no longer matter."""
    status = at.job["status"]
    ready = sum(objects.is_true(pod, "Ready") for pod in at.active)
    status |= {"active": len(at.active), "ready": ready, "terminating": len(at.terminating)}
    uncounted, kept, done = status["uncountedTerminatedPods"], uids(at.awaiting.values()), []
    for pod in filter(is_tracked, at.pods):
        ended = podutil.phase(pod) == "Succeeded" or (at.has_failed(pod) and objects.uid(pod) not in kept)
        if not (ended or verdict or objects.is_deleting(at.job)):
            continue
        done.append(pod)
        known = any(objects.uid(pod) in each for each in uncounted.values())
        if (kind := counter_of(at, pod, verdict)) and not known:
            uncounted.setdefault(kind, []).append(objects.uid(pod))
    if is_indexed(at.job):
        status |= {"succeeded": at.succeeded, "completedIndexes": job_plan.as_text(at.succeeded_indexes)}
        status |= {} if at.per_index is None else {"failedIndexes": job_plan.as_text(at.failed_indexes)}
    return done


def counter_of(at: Round, pod: dict, verdict: Verdict | None) -> str:
    """Return which counter the pod's end is for, "" for none; completions of an Indexed job are counted by index."""
    if not job_pods.counts_for(at.job, pod):
        return ""
    if podutil.phase(pod) == "Succeeded":
        return "" if is_indexed(at.job) else "succeeded"
    # When the job has failed so has what still ran; when it has succeeded, what it deletes has not.
    failed = podutil.phase(pod) == "Failed" or (at.has_failed(pod) if verdict is None else not verdict.succeeded)
    return "failed" if failed and job_pods.match(at.job, pod).action != "Ignore" else ""


def tell(status: dict, type: str, reason: str, message: str, now: float, value: str = "True") -> None:
    new = {"type": type, "status": value, "lastProbeTime": clock.rfc3339(now), "reason": reason, "message": message}
    status["conditions"] = objects.set_condition(status.get("conditions"), new, now)
