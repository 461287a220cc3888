"""What a pod is to its job: counted or not yet, which completion it is for, failed and by which rule. Pure functions.

A finalizer holds a pod until it has been counted: whoever deletes it meanwhile, its end is not lost.

Upstream: pkg/controller/job/tracking_utils.go, indexed_job_utils.go, pod_failure_policy.go, backoff_utils.go
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from labkit.glassbox import clock, objects
from labkit.glassbox.controllers import pods as podutil

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
LONGEST_GENERATED = 58  # what a generated suffix leaves of a host name's 63


@dataclass(frozen=True)
class Match:
    """The rule of a pod failure policy that a failed pod met: its action, and why."""

    action: str = "Count"
    message: str = ""


def is_indexed(job: dict) -> bool:
    return job["spec"].get("completionMode") == "Indexed"


def is_tracked(pod: dict) -> bool:
    """Tell whether the pod has not been counted yet."""
    return TRACKING in (pod["metadata"].get("finalizers") or [])


def annotated(pod: dict, annotation: str) -> int | None:
    text = objects.annotations(pod).get(annotation, "")
    return int(text) if text.isdecimal() else None


def index_of(pod: dict) -> int | None:
    """Return which completion the pod is for, None when it does not say."""
    return annotated(pod, INDEX)


def counts_for(job: dict, pod: dict) -> bool:
    """Tell whether the pod's end is one of the job's: in an Indexed one it must be for a completion that there is."""
    index = index_of(pod)
    return not is_indexed(job) or (index is not None and index < job["spec"]["completions"])


def replaces_only_failed(job: dict) -> bool:
    """Tell whether a pod is replaced only when it has ended, and not as soon as it is being deleted."""
    return job["spec"].get("podReplacementPolicy") == "Failed" or "podFailurePolicy" in job["spec"]


def has_failed(job: dict, pod: dict) -> bool:
    phase = podutil.phase(pod)
    if phase == "Failed":
        return True
    # One that is being deleted may never get so far: its node may be gone.
    return objects.is_deleting(pod) and phase != "Succeeded" and not replaces_only_failed(job)


def failures(pod: dict) -> int:
    """Return how often the pod's index had failed before it, the failures that a rule ignores among them."""
    return (annotated(pod, FAILURES) or 0) + (annotated(pod, IGNORED) or 0)


def finished_at(pod: dict) -> float:
    """Return when the pod ended, or the best guess at it."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    ends = [((each.get("state") or {}).get("terminated") or {}).get("finishedAt") for each in statuses]
    if ends and all(ends):
        return max(clock.parse(end) for end in ends if end)
    ready = objects.condition(pod, "Ready")
    if ready and ready["status"] == "False":
        return clock.parse(ready["lastTransitionTime"])
    if objects.is_deleting(pod):
        return clock.parse(pod["metadata"]["deletionTimestamp"]) - (
            pod["metadata"].get("deletionGracePeriodSeconds") or 0
        )
    return clock.parse(pod["metadata"]["creationTimestamp"])


# -- the pod failure policy


def match(job: dict, pod: dict) -> Match:
    """Return what the job's pod failure policy says of a failed pod; without a rule that fits it counts."""
    for number, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or []):
        why = by_exit_code(pod, rule) if "onExitCodes" in rule else by_condition(pod, rule)
        if why:
            return Match(rule["action"], f"{why} matching {rule['action']} rule at index {number}")
    return Match()


def by_exit_code(pod: dict, rule: dict) -> str:
    wanted, status = rule["onExitCodes"], pod.get("status") or {}
    for container in [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]:
        code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
        named = wanted.get("containerName") in (None, container["name"])
        if code and named and (code in wanted["values"]) == (wanted["operator"] == "In"):
            return f"Container {container['name']} for pod {objects.key(pod)} failed with exit code {code}"
    return ""


def by_condition(pod: dict, rule: dict) -> str:
    for condition in (pod.get("status") or {}).get("conditions") or []:
        for pattern in rule.get("onPodConditions") or []:
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                return f"Pod {objects.key(pod)} has condition {condition['type']}"
    return ""


# -- making one


def pod_for(job: dict, index: int | None, replaced: dict | None) -> dict:
    """Return a pod for one completion of an Indexed job, or for any; it carries on the count of the one replaced."""
    pod = podutil.from_template(job, deepcopy(job["spec"]["template"]))
    metadata = pod["metadata"]
    metadata["finalizers"] = list(dict.fromkeys([*metadata.get("finalizers", []), TRACKING]))
    if index is None:
        return pod
    suffix = f"-{index}-"
    metadata["generateName"] = objects.name(job)[: LONGEST_GENERATED - len(suffix)] + suffix
    metadata.setdefault("labels", {})[INDEX] = str(index)
    metadata.setdefault("annotations", {}).update({INDEX: str(index), **failure_notes(job, replaced)})
    pod["spec"]["hostname"] = f"{objects.name(job)}-{index}"
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
        tell_index(container)
    return pod


def failure_notes(job: dict, replaced: dict | None) -> dict[str, str]:
    """Return the annotations by which a pod carries its index's failures on."""
    if "backoffLimitPerIndex" not in job["spec"]:
        return {}
    counted, ignored = (annotated(replaced, each) or 0 if replaced else 0 for each in (FAILURES, IGNORED))
    if replaced:
        is_ignored = match(job, replaced).action == "Ignore"
        counted, ignored = counted + (not is_ignored), ignored + is_ignored
    return {FAILURES: str(counted), **({IGNORED: str(ignored)} if ignored else {})}


def tell_index(container: dict) -> None:
    variables = container.setdefault("env", [])
    if not any(each["name"] == "JOB_COMPLETION_INDEX" for each in variables):
        source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
        variables.append({"name": "JOB_COMPLETION_INDEX", "valueFrom": source})
