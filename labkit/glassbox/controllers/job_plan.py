"""What becomes of a job: has it succeeded or failed, how many pods should there be. Pure functions over dicts.

Upstream: pkg/controller/job/job_controller.go (syncJob, manageJob), success_policy.go, backoff_utils.go
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from labkit.glassbox import clock, objects
from labkit.glassbox.controllers import job_pods
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.job_pods import index_of, is_indexed

FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 600.0  # seconds before a failed pod is replaced, doubled each time
BURST = 500  # pods made or deleted in one round
NEVER = 2**31 - 1


@dataclass(frozen=True)
class Verdict:
    """How a job ends: told at once as `target`, as `final` when its last pod has gone."""

    succeeded: bool
    reason: str
    message: str

    @property
    def target(self) -> str:
        return "SuccessCriteriaMet" if self.succeeded else "FailureTarget"

    @property
    def final(self) -> str:
        return "Complete" if self.succeeded else "Failed"


@dataclass(frozen=True)
class Streak:
    """Failures since the last success, and when the last of them was."""

    failures: int = 0
    last: float = 0.0

    def after(self, succeeded: list[dict], failed: list[dict]) -> Streak:
        """Return the streak once these pods have ended too."""
        ends = [job_pods.finished_at(pod) for pod in failed]
        if not succeeded:
            return Streak(self.failures + len(ends), max(ends)) if ends else self
        success = max(map(job_pods.finished_at, succeeded))
        later = [end for end in ends if end > success]
        return Streak(len(later), max(later, default=0.0))

    def wait(self, now: float) -> float:
        """Return the seconds until a pod may be made again."""
        if not self.failures:
            return 0.0
        # The exponent is bounded so that no count of failures makes it overflow.
        return max(0.0, self.last + min(FIRST_BACKOFF * 2 ** min(self.failures - 1, 10), LONGEST_BACKOFF) - now)


@dataclass(frozen=True)
class Plan:
    """Pods to delete, or the completion indexes of pods to make (None in a job without), or how long to wait first."""

    delete: Sequence[dict] = ()
    create: Sequence[int | None] = ()
    wait: float = 0.0


@dataclass(frozen=True)
class Round:
    """A job and its pods at one moment."""

    job: dict
    pods: list[dict]
    streak: Streak
    now: float

    @classmethod
    def of(cls, job: dict, pods: list[dict], earlier: Streak, now: float) -> Round:
        """Return the round with the streak as it is after the pods that ended since."""
        at = cls(job, pods, earlier, now)
        return cls(job, pods, earlier.after(at.new_succeeded, at.new_failed), now)

    @property
    def spec(self) -> dict:
        return self.job["spec"]

    @cached_property
    def active(self) -> list[dict]:
        return [pod for pod in self.pods if podutil.is_active(pod)]

    @cached_property
    def terminating(self) -> list[dict]:
        return [pod for pod in self.pods if podutil.is_terminating(pod)]

    @cached_property
    def uncounted(self) -> dict[str, list[str]]:
        """UIDs of pods that ended and are not in the counters yet."""
        held = self.job["status"].get("uncountedTerminatedPods") or {}
        return {kind: held.get(kind) or [] for kind in ("succeeded", "failed")}

    @cached_property
    def tracked(self) -> list[dict]:
        return [pod for pod in self.pods if job_pods.is_tracked(pod) and job_pods.counts_for(self.job, pod)]

    @cached_property
    def new_succeeded(self) -> list[dict]:
        """The pods that succeeded and that the status does not know of yet."""
        ended = [pod for pod in self.tracked if podutil.phase(pod) == "Succeeded"]
        return [pod for pod in ended if objects.uid(pod) not in self.uncounted["succeeded"]]

    @cached_property
    def new_failed(self) -> list[dict]:
        ended = [pod for pod in self.tracked if self.has_failed(pod)]
        return [pod for pod in ended if objects.uid(pod) not in self.uncounted["failed"]]

    def has_failed(self, pod: dict) -> bool:
        return job_pods.has_failed(self.job, pod)

    @cached_property
    def succeeded(self) -> int:
        if is_indexed(self.job):
            return len(self.succeeded_indexes)
        counted = self.job["status"].get("succeeded", 0) + len(self.uncounted["succeeded"])
        return counted + len(self.new_succeeded)

    @cached_property
    def failed(self) -> int:
        fresh = [pod for pod in self.new_failed if job_pods.match(self.job, pod).action != "Ignore"]
        return self.job["status"].get("failed", 0) + len(self.uncounted["failed"]) + len(fresh)

    @cached_property
    def succeeded_indexes(self) -> set[int]:
        known = indexes(self.job["status"].get("completedIndexes", ""), self.spec["completions"])
        return known | set(indexes_of(self.new_succeeded))

    @cached_property
    def failed_indexes(self) -> set[int]:
        """The indexes that are given up, where each has a back-off limit of its own."""
        if self.per_index is None:
            return set()
        known = indexes(self.job["status"].get("failedIndexes", ""), self.spec["completions"])
        return known | set(indexes_of(pod for pod in self.new_failed if self.gives_up(pod)))

    @property
    def per_index(self) -> int | None:
        return self.spec.get("backoffLimitPerIndex")

    def gives_up(self, pod: dict) -> bool:
        """Tell whether a failed pod was the last that its index may have."""
        action = job_pods.match(self.job, pod).action
        spent = (job_pods.annotated(pod, job_pods.FAILURES) or 0) >= (self.per_index or 0)
        return action == "FailIndex" or (action != "Ignore" and spent)

    @cached_property
    def awaiting(self) -> dict[int, dict]:
        """Of each index that is to be tried again, the pod that failed last: it is kept until it has a successor."""
        if self.per_index is None:
            return {}
        settled = self.succeeded_indexes | self.failed_indexes | set(indexes_of(self.active))
        failed = [pod for pod in self.tracked if self.has_failed(pod)]
        failed.sort(key=lambda pod: (job_pods.failures(pod), job_pods.finished_at(pod)))
        return {index: pod for pod in failed if (index := index_of(pod)) is not None and index not in settled}


# -- how it ends


def verdict(at: Round) -> Verdict | None:
    """Return how the job ends, None while it goes on. Once told it stands."""
    return told(at.job) or by_failures(at) or by_time(at) or by_indexes(at)


def told(job: dict) -> Verdict | None:
    for succeeded, type in ((True, "SuccessCriteriaMet"), (False, "FailureTarget")):
        if objects.is_true(job, type):
            condition = objects.condition(job, type) or {}
            return Verdict(succeeded, condition.get("reason", ""), condition.get("message", ""))
    return None


def by_failures(at: Round) -> Verdict | None:
    matches = [job_pods.match(at.job, pod) for pod in at.pods if at.has_failed(pod)]
    if fatal := [each for each in matches if each.action == "FailJob"]:
        return Verdict(False, "PodFailurePolicy", fatal[0].message)
    limit = at.spec.get("backoffLimit", 6 if at.per_index is None else NEVER)
    restarted = restarts(at) if at.spec["template"]["spec"].get("restartPolicy") == "OnFailure" else 0
    if at.failed > limit or restarted >= max(limit, 1):
        return Verdict(False, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    return None


def restarts(at: Round) -> int:
    """Return how often containers of pods that have not ended were started again."""
    statuses = [pod.get("status") or {} for pod in at.pods if podutil.phase(pod) in ("Running", "Pending")]
    kinds = ("initContainerStatuses", "containerStatuses")
    return sum(each["restartCount"] for status in statuses for kind in kinds for each in status.get(kind) or [])


def by_time(at: Round) -> Verdict | None:
    left = seconds_left(at)
    if left is None or left > 0:
        return None
    return Verdict(False, "DeadlineExceeded", "Job was active longer than specified deadline")


def seconds_left(at: Round) -> float | None:
    """Return the seconds until the job has been active for too long, None when it may for ever."""
    start, allowed = at.job["status"].get("startTime"), at.spec.get("activeDeadlineSeconds")
    if allowed is None or not start or at.spec.get("suspend"):
        return None
    return clock.parse(start) + allowed - at.now


def by_indexes(at: Round) -> Verdict | None:
    if not is_indexed(at.job):
        return None
    failed, succeeded = len(at.failed_indexes), len(at.succeeded_indexes)
    if failed > at.spec.get("maxFailedIndexes", NEVER):
        message = "Job has exceeded the specified maximal number of failed indexes"
        return Verdict(False, "MaxFailedIndexesExceeded", message)
    if failed and failed + succeeded >= at.spec["completions"]:
        return Verdict(False, "FailedIndexes", "Job has failed indexes")
    for number, rule in enumerate((at.spec.get("successPolicy") or {}).get("rules") or []):
        if succeeded and meets(at, rule):
            return Verdict(True, "SuccessPolicy", f"Matched rules at index {number}")
    return None


def meets(at: Round, rule: dict) -> bool:
    """Tell whether enough of the indexes that a success rule names have succeeded: all, or a number of them."""
    named = at.succeeded_indexes
    if "succeededIndexes" in rule:
        wanted = indexes(rule["succeededIndexes"], at.spec["completions"])
        named = named & wanted
        if wanted and named == wanted:
            return True
    return "succeededCount" in rule and len(named) >= rule["succeededCount"]


def is_complete(at: Round) -> bool:
    """Tell whether enough pods have succeeded; where no number is asked for, one is enough."""
    return not at.active and at.succeeded >= at.spec.get("completions", 1)


COMPLETED = Verdict(True, "CompletionsReached", "Reached expected number of succeeded pods")


# -- how many pods


def plan(at: Round) -> Plan:
    """Return what is to be done about the number of active pods."""
    active = len(at.active)
    if at.spec.get("suspend"):
        return Plan(delete=at.active)
    wanted = wanted_active(at)
    if surplus := too_many(at, max(0, active - wanted)):
        return Plan(delete=surplus[:BURST])
    going = len(at.terminating) if job_pods.replaces_only_failed(at.job) else 0
    missing = min(wanted - active - going, BURST)
    if missing <= 0:
        return Plan()
    if at.per_index is not None:
        return plan_by_index(at, missing)
    if wait := at.streak.wait(at.now):
        return Plan(wait=wait)
    return Plan(create=pending(at, missing) if is_indexed(at.job) else [None] * missing)


def wanted_active(at: Round) -> int:
    parallelism = at.spec.get("parallelism", 1)
    if "completions" not in at.spec:
        return len(at.active) if at.succeeded else parallelism
    return max(0, min(at.spec["completions"] - at.succeeded, parallelism))


def plan_by_index(at: Round, missing: int) -> Plan:
    """Return the indexes that may be tried now, or how long until the first may."""
    waits = {index: index_wait(at, index) for index in pending(at, missing)}
    now = [index for index, wait in waits.items() if not wait]
    return Plan(create=now) if now else Plan(wait=min(waits.values(), default=0.0))


def index_wait(at: Round, index: int) -> float:
    failed = at.awaiting.get(index)
    return Streak(job_pods.failures(failed) + 1, job_pods.finished_at(failed)).wait(at.now) if failed else 0.0


def pending(at: Round, count: int) -> list[int]:
    """Return the first indexes that have neither ended nor a pod."""
    taken = at.succeeded_indexes | at.failed_indexes | set(indexes_of(at.active))
    if job_pods.replaces_only_failed(at.job):
        taken |= set(indexes_of(at.terminating))
    return list(islice((index for index in range(at.spec["completions"]) if index not in taken), count))


def too_many(at: Round, least: int) -> list[dict]:
    """Return the pods to delete: those whose index has another pod, or is none; then as many as must be."""
    if not is_indexed(at.job):
        return podutil.least_missed(at.active)[:least]
    best = {index_of(pod): pod for pod in podutil.least_missed(at.active) if job_pods.counts_for(at.job, pod)}
    kept = list(best.values())
    double = [pod for pod in at.active if objects.uid(pod) not in set(map(objects.uid, kept))]
    return double + podutil.least_missed(kept)[: max(0, least - len(double))]


# -- indexes as text


def indexes_of(pods: Iterable[dict]) -> Iterable[int]:
    return (index for pod in pods if (index := index_of(pod)) is not None)


def indexes(text: str, completions: int) -> set[int]:
    """Return the set that "0,3-5" means, without what is beyond the completions."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), min(int(last or first), completions - 1) + 1))
    return found


def as_text(found: set[int]) -> str:
    """Return the set as "0,1,3-5": three in a row are a range."""
    runs: list[list[int]] = []
    for index in sorted(found):
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)
