"""Pod: containers that live and die together.

Upstream: pkg/registry/core/pod/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import pod_columns
from labkit.glassbox.resources.resource import Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import pod_status, pod_warnings, pods, resizing, scheduling
from labkit.glassbox.resources.validation.pod_annotations import APP_ARMOR
from labkit.glassbox.selectors import with_own_labels


class EphemeralContainersStrategy(Strategy):
    """A write of `pods/ephemeralcontainers` adds containers to look around with; the rest of the pod stays."""

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        wanted = (obj.get("spec") or {}).get("ephemeralContainers") or []
        obj["metadata"], obj["spec"], obj["status"] = dict(old["metadata"]), dict(old["spec"]), old.get("status", {})
        if wanted != (old["spec"].get("ephemeralContainers") or []):
            obj["spec"]["ephemeralContainers"] = wanted
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return pods.more_ephemeral_containers(obj, old)


class ResizeStrategy(Strategy):
    """A write of `pods/resize` changes what containers that run may use, and what happens to them then."""

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        wanted = obj.get("spec") or {}
        obj["metadata"], obj["status"] = dict(old["metadata"]), old.get("status", {})
        lists = {field: _resized(old["spec"].get(field) or [], wanted.get(field)) for field in resizing.LISTS}
        obj["spec"] = {**old["spec"], **{field: each for field, each in lists.items() if each}}
        if obj["spec"] != old["spec"]:
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return resizing.resized(obj, old, qos_class(obj))


def _resized(held: list[dict], wanted: list[dict] | None) -> list[dict]:
    """Return the containers as they are, with the amounts that are wanted; others than those that are there as sent."""
    wanted = wanted or []
    if [each.get("name") for each in wanted] != [each["name"] for each in held]:
        return wanted
    fields = ("resources", "resizePolicy")
    return [
        {**before, **{field: new[field] for field in fields if field in new}}
        for before, new in zip(held, wanted, strict=True)
    ]


class PodStrategy(Strategy):
    """A new pod is Pending; its quality of service follows from its requests and limits and never changes."""

    has_status = True
    # Labels and annotations are taken with a status, unlike those of other kinds.
    status_resets = tuple(each for each in Strategy.status_resets if each not in ("labels", "annotations"))
    counts_generation = True
    parts = {"ephemeralcontainers": EphemeralContainersStrategy(), "resize": ResizeStrategy()}
    faults = staticmethod(pods.new_pod)

    def default(self, obj: dict) -> None:
        """Less than no time to end in counts as one second; in templates it stays, with a warning."""
        if (obj.setdefault("spec", {}).get("terminationGracePeriodSeconds") or 0) < 0:
            obj["spec"]["terminationGracePeriodSeconds"] = 1

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj)}
        _take_app_armor(obj)
        _select_own_labels(obj)
        if obj["spec"].get("schedulingGates"):
            obj["status"]["conditions"] = [gated(obj["metadata"]["creationTimestamp"])]

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        """What admission computed from the pod's class stays, also where the update leaves it out."""
        for field in ("priority", "preemptionPolicy"):
            if field in old["spec"]:
                obj["spec"].setdefault(field, old["spec"][field])
        super().prepare_for_update(obj, old)

    def prepare_for_status_update(self, obj: dict, old: dict) -> None:
        super().prepare_for_status_update(obj, old)
        if held := dig(old, "status.qosClass"):
            obj.setdefault("status", {}).setdefault("qosClass", held)

    def change_faults(self, obj: dict, old: dict) -> Iterable[Cause]:
        return pods.changed_pod(obj, old)

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(pod_status.pod_status(obj, old))

    def warnings(self, obj: dict) -> list[str]:
        return pod_warnings.pod(obj)

    def change_warnings(self, obj: dict, old: dict) -> list[str]:
        """Say nothing: it is rarely people who change pods."""
        return []


def _take_app_armor(pod: dict) -> None:
    """Have the profiles that deprecated annotations name in the containers' fields."""
    for field in ("containers", "initContainers"):
        for each in pod["spec"].get(field) or []:
            given = (pod["metadata"].get("annotations") or {}).get(APP_ARMOR + each.get("name", ""), "")
            kind = {"runtime/default": "RuntimeDefault", "unconfined": "Unconfined"}.get(given)
            profile = {"type": kind} if kind else {"type": "Localhost", "localhostProfile": given[len("localhost/") :]}
            if kind or given.startswith("localhost/"):
                each["securityContext"] = each.get("securityContext") or {}
                each["securityContext"].setdefault("appArmorProfile", profile)


def _select_own_labels(pod: dict) -> None:
    """Write into its selectors what a pod asks others to have, or not to have, as it has itself."""
    spec, labels = pod["spec"], pod["metadata"].get("labels") or {}
    terms = [*(spec.get("topologySpreadConstraints") or [])]
    for kind in ("podAffinity", "podAntiAffinity"):
        given = dig(spec, f"affinity.{kind}") or {}
        terms += given.get(scheduling.REQUIRED) or []
        terms += [each.get("podAffinityTerm") or {} for each in given.get(scheduling.PREFERRED) or []]
    for term in (each for each in terms if each.get("labelSelector") is not None):
        term["labelSelector"] = with_own_labels(term, labels)


def gated(now: str) -> dict:
    """Return the condition of a pod that no scheduler looks at before its gates are removed."""
    return {
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": now,
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }


def qos_class(pod: dict) -> str:
    """Return Guaranteed (all limits set, requests equal), BestEffort (nothing set) or Burstable."""
    spec = pod["spec"]
    every = (
        [spec]
        if any(spec.get("resources", {}).values())
        else [*spec.get("containers", ()), *spec.get("initContainers", ())]
    )
    asked = [_compute(each, "requests") for each in every]
    limits = [_compute(each, "limits") for each in every]
    if not any(asked) and not any(limits):
        return "BestEffort"
    if all(len(limit) == 2 and limit == request for limit, request in zip(limits, asked, strict=True)):
        return "Guaranteed"
    return "Burstable"


def _compute(container: dict, kind: str) -> dict:
    amounts = (container.get("resources") or {}).get(kind) or {}
    return {
        name: quantity.parse(value) for name, value in amounts.items() if name in ("cpu", "memory") and value != "0"
    }


PODS = Resource(
    kind="Pod",
    plural="pods",
    strategy=PodStrategy(),
    short_names=("po",),
    categories=("all",),
    subresources=(
        *("attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "resize"),
        "status",
    ),
    columns=pod_columns.COLUMNS,
    row_conditions=pod_columns.row_conditions,
    field_labels=(
        *("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork"),
        *("status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName", "spec.host"),
    ),
)
