"""Priority: a pod's class becomes a number, which only this plugin may set.

Upstream: plugin/pkg/admission/priority/admission.go
"""

from __future__ import annotations

from typing import Any

import orjson

from labkit.glassbox import errors, objects
from labkit.glassbox.apiserver.objects_at_rest import prefix
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.resources import REGISTRY

NO_CLASS: dict[str, Any] = {"metadata": {"name": ""}, "value": 0, "preemptionPolicy": "PreemptLowerPriority"}
GIVEN = "must not be provided in pod spec; priority admission controller computed"


def priority(request: Request, obj: dict, api: Api) -> None:
    """Resolve a new pod's class. Raises ApiError 403."""
    if request.resource.called == "pods":
        resolve(obj, classes(api))


def one_default_class(request: Request, obj: dict, api: Api) -> None:
    """Keep a second class from being the default one. Raises ApiError 403."""
    if request.resource.called == "priorityclasses" and obj.get("globalDefault"):
        for each in classes(api):
            if each.get("globalDefault") and objects.name(each) != obj["metadata"].get("name"):
                why = f"PriorityClass {objects.name(each)} is already marked as default. Only one default can exist"
                raise errors.forbidden("priorityclasses", obj["metadata"].get("name", ""), why, "scheduling.k8s.io")


def classes(api: Api) -> list[dict]:
    rows, _ = api.store.rows(prefix(REGISTRY.find("priorityclasses")))
    return [orjson.loads(row.value) for row in rows]


def resolve(pod: dict, known: list[dict]) -> None:
    """Set priority and preemptionPolicy from the pod's class, the default one or none. Raises ApiError 403."""
    spec = pod.setdefault("spec", {})
    chosen = _chosen(pod, spec.get("priorityClassName") or "", known)
    if objects.name(chosen):
        spec["priorityClassName"] = objects.name(chosen)
    value, policy = chosen.get("value", 0), chosen.get("preemptionPolicy", "PreemptLowerPriority")
    for kind, field, computed in (
        ("integer value of priority", "priority", value),
        ("string value of PreemptionPolicy", "preemptionPolicy", policy),
    ):
        if spec.get(field) not in (None, computed):
            why = f"the {kind} ({spec[field]}) {GIVEN} {computed} from the given PriorityClass name"
            raise _refused(pod, why)
    spec["priority"], spec["preemptionPolicy"] = value, policy


def _chosen(pod: dict, name: str, known: list[dict]) -> dict:
    if not name:
        defaults = [each for each in known if each.get("globalDefault")]
        return min(defaults, key=lambda each: each.get("value", 0), default=NO_CLASS)
    for each in known:
        if objects.name(each) == name:
            return each
    raise _refused(pod, f"no PriorityClass with name {name} was found")


def _refused(pod: dict, why: str) -> errors.ApiError:
    return errors.forbidden("pods", pod["metadata"].get("name", ""), why)
