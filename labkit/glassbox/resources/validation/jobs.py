"""What Jobs and CronJobs must satisfy, and what of them may change.

Upstream: pkg/apis/batch/validation/validation.go
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator

from labkit.glassbox import cron
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    every,
    invalid,
    items,
    not_negative,
    one_of,
    required,
    shown,
    too_long,
    too_many,
    unique,
    unsupported,
)
from labkit.glassbox.resources.validation.internal_struct import struct, unchanged
from labkit.glassbox.resources.validation.job_status import index_count
from labkit.glassbox.resources.validation.metadata import label_selector
from labkit.glassbox.resources.validation.pods import template
from labkit.glassbox.resources.validation.workloads import MATCHES_NOT, is_matched, labels_of, numbers

UID, NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
OLD_UID, OLD_NAME = "controller-uid", "job-name"
MOST_AT_ONCE = 100_000  # pods of an Indexed job
MOST_OF_MANY = 10_000  # of them at once, and of them failed, where there are more than that
MOST_RULES, MOST_CODES, MOST_TEXT = 20, 255, 64 * 1024
ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
INDEXED_ONLY = "requires indexed completion mode"
NO_TIME_ZONE = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
# What never changes, and the struct that it is, if any.
FIXED = {
    **{"completionMode": "", "podFailurePolicy": "PodFailurePolicy", "backoffLimitPerIndex": "", "managedBy": ""},
    "successPolicy": "SuccessPolicy",
}
# What says where a suspended job's pods may run.
DIRECTIVES = ("affinity", "nodeSelector", "tolerations", "schedulingGates")
COUNTS = (
    *("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"),
    *("backoffLimitPerIndex", "maxFailedIndexes"),
)


def job(obj: dict) -> Iterator[Cause]:
    """Check a new job."""
    spec, meta = obj.get("spec") or {}, obj["metadata"]
    if not spec.get("manualSelector"):
        yield from _generated(spec, meta)
    yield from selecting_spec(spec)
    count = spec.get("completions") or 0
    if is_indexed(spec) and count and names.dns_label(f"{meta.get('name', '')}-{count - 1}"):
        told = f"will not able to create pod with invalid DNS label: {meta.get('name', '')}-{count - 1}"
        yield invalid("metadata.name", meta.get("name", ""), told)


def _generated(spec: dict, meta: dict) -> Iterator[Cause]:
    """Refuse another selector than that which each job is given."""
    labels, at = labels_of(spec.get("template") or {}) or {}, "spec.template.metadata.labels"
    if spec.get("selector") is None:
        return
    for key, value in ((OLD_UID, meta["uid"]), (OLD_NAME, meta.get("name", "")), (NAME, meta.get("name", ""))):
        if key not in labels:
            yield required(f"{at}[{key}]", f"must be '{value}'")
        elif labels[key] != value:
            yield invalid(f"{at}[{key}]", labels, f"must be '{value}'")
    if spec.get("selector") != {"matchLabels": {UID: meta["uid"]}}:
        yield invalid("spec.selector", spec.get("selector"), "`selector` not auto-generated")


def selecting_spec(spec: dict) -> Iterator[Cause]:
    yield from job_spec(spec, "spec")
    selector, given = spec.get("selector"), spec.get("template") or {}
    faults = [required("spec.selector")] if selector is None else list(label_selector(selector, "spec.selector"))
    yield from faults
    if selector is None or (not faults and not is_matched(selector, given)):
        yield invalid("spec.template.metadata.labels", labels_of(given), MATCHES_NOT)


def is_indexed(spec: dict) -> bool:
    return spec.get("completionMode") == "Indexed"


def job_spec(spec: dict, path: str) -> Iterator[Cause]:
    """Check what a job's spec and a cron job's template have in common."""
    yield from numbers(spec, *COUNTS, path=path)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if (manager := spec.get("managedBy")) is not None:
        yield from names.domain_prefixed_path(f"{path}.managedBy", manager)
        if len(manager) > 63:
            yield too_long(f"{path}.managedBy", 63)
    yield from one_of(f"{path}.completionMode", spec.get("completionMode"), ("NonIndexed", "Indexed"))
    yield from (_indexed if is_indexed(spec) else _not_indexed)(spec, path)
    if spec.get("podFailurePolicy") is not None:
        yield from failure_policy(spec, f"{path}.podFailurePolicy")
    if spec.get("successPolicy") is not None:
        yield from success_policy(spec, f"{path}.successPolicy")
    supported = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    yield from one_of(f"{path}.podReplacementPolicy", spec.get("podReplacementPolicy"), supported)
    yield from template(spec.get("template") or {}, f"{path}.template")
    yield from _restart_policy(spec, f"{path}.template.spec.restartPolicy")


def _indexed(spec: dict, path: str) -> Iterator[Cause]:
    count, failed = spec.get("completions"), spec.get("maxFailedIndexes")
    if count is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    if spec.get("parallelism", 0) > MOST_AT_ONCE:
        told = f"must be less than or equal to {MOST_AT_ONCE} when completion mode is Indexed"
        yield invalid(f"{path}.parallelism", spec["parallelism"], told)
    if failed is not None and count is not None and failed > count:
        yield invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions")
    if failed is not None and failed > MOST_AT_ONCE:
        yield invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {MOST_AT_ONCE}")
    if (count or 0) > MOST_AT_ONCE and spec.get("backoffLimitPerIndex") is not None:
        yield from _many_indexes(spec, path)


def _many_indexes(spec: dict, path: str) -> Iterator[Cause]:
    """Bound what a job of very many indexes keeps in its status."""
    if spec.get("maxFailedIndexes") is None:
        yield required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {MOST_AT_ONCE}")
    for field in ("parallelism", "maxFailedIndexes"):
        if (spec.get(field) or 0) > MOST_OF_MANY:
            told = f"when completions are above {MOST_AT_ONCE} and used with backoff limit per index"
            yield invalid(f"{path}.{field}", spec[field], f"must be less than or equal to {MOST_OF_MANY} {told}")


def _not_indexed(spec: dict, path: str) -> Iterator[Cause]:
    for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
        if spec.get(field) is not None:
            yield invalid(f"{path}.{field}", spec[field], INDEXED_ONLY)


def _restart_policy(spec: dict, path: str) -> Iterator[Cause]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "Always")
    if policy == "Always":
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield unsupported(path, policy, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def failure_policy(spec: dict, path: str) -> Iterator[Cause]:
    rules = spec["podFailurePolicy"].get("rules") or []
    if len(rules) > MOST_RULES:
        yield too_many(f"{path}.rules", len(rules), MOST_RULES)
    pod = (spec.get("template") or {}).get("spec") or {}
    containers = {each.get("name") for field in ("containers", "initContainers") for each in pod.get(field) or []}
    for at, rule in items(rules, f"{path}.rules"):
        action = rule.get("action", "")
        if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield invalid(f"{at}.action", action, "requires the backoffLimitPerIndex to be set")
        yield from _chosen(f"{at}.action", action, ACTIONS)
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
        if codes is not None:
            yield from _exit_codes(codes, containers, f"{at}.onExitCodes")
        if len(conditions) > MOST_RULES:
            yield too_many(f"{at}.onPodConditions", len(conditions), MOST_RULES)
        yield from every(_condition, conditions, f"{at}.onPodConditions")
        if (codes is not None) == bool(conditions):
            told = "specifying both OnExitCodes and OnPodConditions is not supported"
            told = told if conditions else "specifying one of OnExitCodes and OnPodConditions is required"
            yield Cause("FieldValueInvalid", f"Invalid value: {told}", at)


def _chosen(path: str, value: str, supported: tuple[str, ...]) -> Iterator[Cause]:
    if value:
        yield from one_of(path, value, supported)
    else:
        yield required(path, f"valid values: [{' '.join(map(shown, supported))}]")


def _exit_codes(given: dict, containers: set, path: str) -> Iterator[Cause]:
    operator, values = given.get("operator", ""), given.get("values") or []
    yield from _chosen(f"{path}.operator", operator, ("In", "NotIn"))
    if given.get("containerName") is not None and given["containerName"] not in containers:
        told = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", given["containerName"], told)
    if not values:
        yield invalid(f"{path}.values", given.get("values"), "at least one value is required")
    elif len(values) > MOST_CODES:
        yield too_many(f"{path}.values", len(values), MOST_CODES)
    seen: set[int] = set()
    for at, value in items(values, f"{path}.values"):
        if operator == "In" and value == 0:
            yield invalid(at, value, "must not be 0 for the In operator")
        yield from unique(at, value, seen)
    if values != sorted(values):
        yield invalid(f"{path}.values", values, "must be ordered")


def _condition(given: dict, path: str) -> Iterator[Cause]:
    yield from names.check(names.qualified_name, f"{path}.type", given.get("type", ""))
    yield from _chosen(f"{path}.status", given.get("status", ""), ("False", "True", "Unknown"))


def success_policy(spec: dict, path: str) -> Iterator[Cause]:
    rules = spec["successPolicy"].get("rules") or []
    if not is_indexed(spec):
        yield invalid(path, struct("SuccessPolicy", spec["successPolicy"]), INDEXED_ONLY)
        return
    if not rules:
        yield required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > MOST_RULES:
        yield too_many(f"{path}.rules", len(rules), MOST_RULES)
    yield from every(_success_rule, rules, f"{path}.rules", spec.get("completions") or 0)


def _success_rule(rule: dict, path: str, completions: int) -> Iterator[Cause]:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        yield required(path, "at least one of succeededCount or succeededIndexes must be specified")
    named = 0
    if indexes is not None and len(indexes) > MOST_TEXT:
        yield too_long(f"{path}.succeededIndexes", MOST_TEXT)
    try:
        named = index_count(indexes or "", completions)
    except ValueError as error:
        yield invalid(f"{path}.succeededIndexes", indexes, f"error parsing succeededIndexes: {error}")
    yield from not_negative(f"{path}.succeededCount", count)
    if count is not None and count > completions:
        told = f"must be less than or equal to {completions} (the number of specified completions)"
        yield invalid(f"{path}.succeededCount", count, told)
    if count is not None and indexes is not None and count > named:
        told = f"must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
        yield invalid(f"{path}.succeededCount", count, told)


def job_change(obj: dict, old: dict) -> Iterator[Cause]:
    """Check a changed job: it is valid, and what its pods were made from is as it was."""
    new, held = obj.get("spec") or {}, old.get("spec") or {}
    yield from job(obj)
    yield from selecting_spec(new)  # upstream looks twice
    if is_indexed(new):
        if new.get("completions") not in (None, held.get("completions"), new.get("parallelism")):
            told = "can only be modified in tandem with spec.parallelism"
            yield invalid("spec.completions", new.get("completions"), told)
    else:
        yield from unchanged("spec.completions", new.get("completions"), held.get("completions"))
    yield from unchanged("spec.selector", new.get("selector"), held.get("selector"))
    yield from _same_template(obj, old)
    for field, kind in FIXED.items():
        yield from unchanged(f"spec.{field}", new.get(field), held.get(field), kind)


def _same_template(obj: dict, old: dict) -> Iterator[Cause]:
    """While a job is suspended, with no pod left, it may still be told where its pods run and what they may use."""
    new, held = obj["spec"]["template"], copy.deepcopy(old["spec"]["template"])
    if old["spec"].get("suspend") and not (old.get("status") or {}).get("active"):
        held["metadata"] = new["metadata"]
        _take(DIRECTIVES, new["spec"], held["spec"])
        for field in ("containers", "initContainers"):
            for one, other in zip(new["spec"].get(field) or [], held["spec"].get(field) or [], strict=False):
                _take(("resources",), one, other)
    yield from unchanged("spec.template.metadata", new.get("metadata"), held.get("metadata"))
    yield from unchanged("spec.template.spec", new["spec"], held["spec"], "PodSpec")


def _take(fields: tuple[str, ...], source: dict, to: dict) -> None:
    for field in fields:
        to.pop(field, None)
        if field in source:
            to[field] = source[field]


def cronjob(obj: dict, old: dict | None = None) -> Iterator[Cause]:
    spec, held = (each.get("spec") or {} for each in (obj, old or {}))
    yield from _schedule(spec.get("schedule", ""), spec.get("timeZone"), "TZ" in held.get("schedule", ""))
    yield from numbers(spec, "startingDeadlineSeconds")
    if spec.get("timeZone") is not None and (not old or held.get("timeZone") != spec["timeZone"]):
        yield from _zone(spec["timeZone"])
    yield from one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"))
    inner = (spec.get("jobTemplate") or {}).get("spec") or {}
    yield from job_spec(inner, "spec.jobTemplate.spec")
    if inner.get("selector") is not None:
        yield invalid("spec.jobTemplate.spec.selector", inner["selector"], "`selector` will be auto-generated")
    if inner.get("manualSelector"):
        yield unsupported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))
    yield from numbers(spec, "successfulJobsHistoryLimit", "failedJobsHistoryLimit")


def _schedule(given: str, zone: str | None, may_have_zone: bool) -> Iterator[Cause]:
    """Check a schedule; one with a time zone is let be where it has been for long."""
    if not given:
        yield required("spec.schedule")
        return
    zone_of_it = re.match(r"(CRON_)?TZ=(\S*)\s*", given)
    try:
        if zone_of_it and not _is_zone(zone_of_it[2]):
            raise ValueError(f"provided bad location {zone_of_it[2]}: unknown time zone {zone_of_it[2]}")
        cron.parse(given[zone_of_it.end() :] if zone_of_it else given)
    except ValueError as error:
        yield invalid("spec.schedule", given, str(error))
    if "TZ" in given and not may_have_zone:
        told = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield invalid("spec.schedule", given, told)
    elif "TZ" in given and zone is not None:
        yield invalid("spec.schedule", given, "cannot use both timeZone field and TZ or CRON_TZ in schedule")


def _zone(name: str) -> Iterator[Cause]:
    if not name:
        yield invalid("spec.timeZone", name, "timeZone must be nil or non-empty string")
        return
    if name.lower() == "local":
        yield invalid("spec.timeZone", name, NO_TIME_ZONE)
    if name != "Local" and not _is_zone(name):
        yield invalid("spec.timeZone", name, f"unknown time zone {name}")


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True


def short_enough(obj: dict) -> Iterator[Cause]:
    """Refuse a name that leaves no room for the time that names each job."""
    if len(obj["metadata"].get("name", "")) > 52:
        yield invalid("metadata.name", obj["metadata"]["name"], "must be no more than 52 characters")
