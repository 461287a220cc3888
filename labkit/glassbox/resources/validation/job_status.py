"""What a Job's status may say, and what of it may change: a job that others manage is held to it too.

A fault of what was stored before is let pass until what it is about changes.

Upstream: validateJobStatus in pkg/apis/batch/validation/validation.go, getStatusValidationOptions in
pkg/registry/batch/job/strategy.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import is_true
from labkit.glassbox.resources.validation.fields import invalid, not_negative, required, unique

TERMINAL = ("Failed", "Complete", "FailureTarget")
FINISHED = ("Complete", "Failed")
# Which conditions exclude one another, and which need another, in upstream's order.
EXCLUSIVE = (
    ("Complete", "Failed", "cannot set Complete=True and Failed=true conditions"),
    ("Complete", "FailureTarget", "cannot set Complete=True and FailureTarget=true conditions"),
)
NEEDED = (
    ("Failed", "FailureTarget", "cannot set Failed=True condition without the FailureTarget=true condition"),
    (
        "Complete",
        "SuccessCriteriaMet",
        "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
    ),
)
UNMET = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"


def job_status(obj: dict, old: dict) -> Iterator[Cause]:
    """Check a job's new status."""
    status = obj.get("status") or {}
    for field in ("active", "succeeded", "failed", "ready", "terminating"):
        yield from not_negative(f"status.{field}", status.get(field))
    yield from _uncounted(status.get("uncountedTerminatedPods") or {})
    yield from _conditions(obj, old)
    yield from _times(obj, old)
    yield from _finished(obj, old)
    yield from _indexes(obj, old)
    yield from _kept(obj, old)


def _turned(obj: dict, old: dict, *kinds: str) -> bool:
    """Tell whether one of the conditions became true, or ceased to be."""
    return any(is_true(obj, kind) != is_true(old, kind) for kind in kinds)


def _differs(obj: dict, old: dict, *fields: str) -> bool:
    new, held = (each.get("status") or {} for each in (obj, old))
    return any(new.get(field) != held.get(field) for field in fields)


def _condition(told: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {told}", "status.conditions")


def _uncounted(given: dict) -> Iterator[Cause]:
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        for index, uid in enumerate(given.get(field) or []):
            path = f"status.uncountedTerminatedPods.{field}[{index}]"
            yield from unique(path, uid, seen) if uid else [invalid(path, uid, "must not be empty")]


def _conditions(obj: dict, old: dict) -> Iterator[Cause]:
    for one, other, told in EXCLUSIVE:
        if _turned(obj, old, one, other) and is_true(obj, one) and is_true(obj, other):
            yield _condition(told)
    for one, other, told in NEEDED:
        if _turned(obj, old, one, other) and is_true(obj, one) and not is_true(obj, other):
            yield _condition(told)
    met = is_true(obj, "SuccessCriteriaMet")
    for other in ("Failed", "FailureTarget"):
        if met and is_true(obj, other):
            yield _condition(f"cannot set SuccessCriteriaMet=True and {other}=true conditions")
    if obj["spec"].get("successPolicy") is not None and is_true(obj, "Complete") and not met:
        yield _condition(UNMET)


def _times(obj: dict, old: dict) -> Iterator[Cause]:
    status, is_complete = obj.get("status") or {}, is_true(obj, "Complete")
    began, ended = status.get("startTime"), status.get("completionTime")
    if _turned(obj, old, "Complete") or _differs(obj, old, "completionTime"):
        if ended and not is_complete:
            told = "cannot set completionTime when there is no Complete=True condition"
            yield invalid("status.completionTime", ended, told)
        if is_complete and not ended:
            yield required("status.completionTime", "completionTime is required for Complete jobs")
    if _differs(obj, old, "startTime", "completionTime") and began and ended and ended < began:
        yield invalid("status.completionTime", ended, "completionTime cannot be set before startTime")


def _finished(obj: dict, old: dict) -> Iterator[Cause]:
    """Refuse what a finished job no longer has, and more ready pods than there are."""
    status, spec = obj.get("status") or {}, obj["spec"]
    ended, before = (any(is_true(each, kind) for kind in FINISHED) for each in (obj, old))
    turned, pods = ended != before, status.get("uncountedTerminatedPods") or {}
    for field in ("active", "terminating"):
        if ended and status.get(field, 0) > 0 and (turned or _differs(obj, old, field)):
            yield invalid(f"status.{field}", status[field], f"{field}>0 is invalid for finished job")
    is_void = spec.get("suspend") and spec.get("completions") == 0
    if ended and not is_void and not status.get("startTime") and (turned or _differs(obj, old, "startTime")):
        yield required("status.startTime", "startTime is required for finished job")
    if ended and any(pods.values()) and (turned or _differs(obj, old, "uncountedTerminatedPods")):
        shown = {"Succeeded": pods.get("succeeded"), "Failed": pods.get("failed")}
        told = "uncountedTerminatedPods needs to be empty for finished job"
        yield invalid("status.uncountedTerminatedPods", shown, told)
    changed = "ready" in status and _differs(obj, old, "ready", "active")
    if changed and status["ready"] > status.get("active", 0):
        yield invalid("status.ready", status["ready"], "cannot set more ready pods than active")


def _indexes(obj: dict, old: dict) -> Iterator[Cause]:
    spec, status = obj["spec"], obj.get("status") or {}
    count, done, failed = spec.get("completions"), status.get("completedIndexes", ""), status.get("failedIndexes")
    by_index = spec.get("backoffLimitPerIndex") is not None
    if _differs(obj, old, "completedIndexes"):
        if count is not None:
            yield from _parsed("completedIndexes", done, count)
        if done and spec.get("completionMode") != "Indexed":
            told = "cannot set non-empty completedIndexes when non-indexed completion mode"
            yield invalid("status.completedIndexes", done, told)
    if _differs(obj, old, "failedIndexes") and failed is not None:
        if not by_index:
            told = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
            yield invalid("status.failedIndexes", failed, told)
        elif count is not None:
            yield from _parsed("failedIndexes", failed, count)
    if _differs(obj, old, "failedIndexes", "completedIndexes") and count is not None and done and failed:
        both = _overlap(_intervals(done, count), _intervals(failed, count))
        if both is not None:
            yield invalid(
                "status.failedIndexes", failed, f"failedIndexes and completedIndexes overlap at index: {both}"
            )


def _parsed(field: str, text: str, completions: int) -> Iterator[Cause]:
    try:
        index_count(text, completions)
    except ValueError as error:
        yield invalid(f"status.{field}", text, f"error parsing {field}: {error}")


def _kept(obj: dict, old: dict) -> Iterator[Cause]:
    """Refuse to take back what a job has come to."""
    spec, status, held = obj["spec"], obj.get("status") or {}, old.get("status") or {}
    for kind in TERMINAL:
        if is_true(old, kind) and not is_true(obj, kind):
            yield _condition(f"cannot disable the terminal {kind}=True condition")
    may_shrink = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    for field in ("failed", *(() if may_shrink else ("succeeded",))):
        if status.get(field, 0) < held.get(field, 0):
            yield invalid(f"status.{field}", status.get(field, 0), f"cannot decrease the {field} counter")
    new, was = (each.get("completionTime") for each in (status, held))
    if new and was and new != was:
        yield invalid("status.completionTime", new, "completionTime cannot be mutated")
    is_resuming = is_true(old, "Suspended") and not is_true(obj, "Suspended")
    if held.get("startTime") and _differs(obj, old, "startTime") and not (spec.get("suspend") or is_resuming):
        yield required("status.startTime", "startTime cannot be removed for unsuspended job")
    met, was_met = is_true(obj, "SuccessCriteriaMet"), is_true(old, "SuccessCriteriaMet")
    if was_met and not met:
        yield _condition("cannot disable the SuccessCriteriaMet=True condition")
    if is_true(old, "Complete") and met and not was_met:
        yield _condition("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")


def index_count(text: str, completions: int) -> int:
    """Return how many indexes a text like "0-2,5" names; raises ValueError with the API's words."""
    count, last = 0, -1
    for interval in text.split(",") if text else ():
        low, high = _interval(interval, completions)
        if count and last >= low:
            raise ValueError(f"non-increasing order, previous: {last}, current: {low}")
        count, last = count + high - low + 1, high
    return count


def _interval(text: str, completions: int) -> tuple[int, int]:
    parts = text.split("-")
    if len(parts) > 2:
        told = "violates the requirement that an index interval can have at most two parts separated by '-'"
        raise ValueError(f'the fragment "{text}" {told}')
    ends = [_index(part, completions) for part in parts]
    if len(ends) == 2 and ends[0] >= ends[1]:
        raise ValueError(f"non-increasing order, previous: {ends[0]}, current: {ends[1]}")
    return ends[0], ends[-1]


def _index(text: str, completions: int) -> int:
    if not re.fullmatch(r"[+]?[0-9]+", text):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)


def _intervals(text: str, completions: int) -> list[tuple[int, int]]:
    found = []
    for interval in text.split(","):
        with suppress(ValueError):  # told of elsewhere
            found.append(_interval(interval, completions))
    return found


def _overlap(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> int | None:
    """Return the first index that is in both, of lists that ascend."""
    one, other = 0, 0
    while one < len(some) and other < len(others):
        (low, high), (start, end) = some[one], others[other]
        if low <= end and start <= high:
            return max(low, start)
        one, other = (one + 1, other) if low <= start else (one, other + 1)
    return None
