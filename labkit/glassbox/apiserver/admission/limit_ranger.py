"""LimitRanger: gives containers the requests and limits that they do not name, and refuses what is out of range.

What a pod got is noted in an annotation, so that `kubectl describe` tells where it comes from.

Upstream: plugin/pkg/admission/limitranger/admission.go
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from labkit.glassbox import errors, objects, quantity, quota
from labkit.glassbox.apiserver.objects_at_rest import prefix
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.resources.limit_range import LIMIT_RANGES

ANNOTATION = "kubernetes.io/limit-ranger"
Found = Iterator[str]


def ranges(request: Request, api: Api) -> list[dict]:
    """Return the LimitRanges of the namespace."""
    if request.resource.called not in ("pods", "persistentvolumeclaims") or request.resource.group:
        return []
    rows, _ = api.store.rows(prefix(LIMIT_RANGES, request.route.namespace))
    return [orjson.loads(row.value) for row in rows]


def fill_limits(request: Request, obj: dict, api: Api) -> None:
    """Give a pod's containers what they do not name; the last range that gives anything is noted, as upstream does."""
    if request.resource.called != "pods":
        return
    for each in ranges(request, api):
        told: list[str] = []
        for limit in limits_of(each, "Container"):
            for field, what in (("containers", "container"), ("initContainers", "init container")):
                for container in obj["spec"].get(field) or ():
                    told += fill(container, limit, f"{what} {container['name']}")
        if told:
            annotations = obj["metadata"].get("annotations") or {}
            obj["metadata"]["annotations"] = {**annotations, ANNOTATION: f"LimitRanger plugin set: {'; '.join(told)}"}


def limits_of(limit_range: dict, *kinds: str) -> list[dict]:
    limits = limit_range["spec"].get("limits") or ()
    return [limit for limit in limits if not kinds or limit["type"] in kinds]


def fill(container: dict, limit: dict, what: str) -> Iterator[str]:
    """Set what a container does not name; yield what that was, in words."""
    resources = container.setdefault("resources", {})
    for field, source, word in (("requests", "defaultRequest", "request"), ("limits", "default", "limit")):
        held = resources.get(field) or {}
        given = {name: amount for name, amount in (limit.get(source) or {}).items() if name not in held}
        if given:
            resources[field] = {**held, **given}
            yield f"{', '.join(sorted(given))} {word} for {what}"


def check_limits(request: Request, obj: dict, api: Api) -> None:
    """Refuse what is out of range. Raises ApiError 403."""
    limits = [limit for each in ranges(request, api) for limit in limits_of(each)]
    found = [told for limit in limits for told in dict.fromkeys(faults(limit, obj))]
    if found:
        why = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
        raise errors.forbidden(request.resource.called, obj["metadata"].get("name", ""), why)


def faults(limit: dict, obj: dict) -> Found:
    """Yield in which way a pod or a claim breaks one limit."""
    kind, spec = limit["type"], obj["spec"]
    if kind == "PersistentVolumeClaim" and "containers" not in spec:
        requests = objects.dig(spec, "resources.requests") or {}
        yield from below(limit, kind, requests, {})
        yield from above(limit, kind, {}, requests, of_requests=True)
    elif kind == "Container" and "containers" in spec:
        for each in [*spec["containers"], *(spec.get("initContainers") or ())]:
            resources = each.get("resources") or {}
            yield from out_of(limit, kind, resources.get("requests") or {}, resources.get("limits") or {})
    elif kind == "Pod" and "containers" in spec:
        yield from out_of(limit, kind, quota.pod_total(obj, "requests"), quota.pod_total(obj, "limits"))


def out_of(limit: dict, kind: str, requests: dict, limits: dict) -> Found:
    yield from below(limit, kind, requests, limits)
    yield from above(limit, kind, limits, requests)
    for name, most in sorted((limit.get("maxLimitRequestRatio") or {}).items()):
        if told := _ratio(name, most, requests.get(name, "0"), limits.get(name, "0")):
            yield f"{name} max limit to request ratio per {kind} is {most}, but {told}"


def below(limit: dict, kind: str, requests: dict, limits: dict) -> Found:
    for name, least in sorted((limit.get("min") or {}).items()):
        told = f"minimum {name} usage per {kind} is {least}"
        if name not in requests:
            yield f"{told}.  No request is specified"
        for word, given in (("request", requests), ("limit", limits)):
            if name in given and quantity.parse(given[name]) < quantity.parse(least):
                yield f"{told}, but {word} is {given[name]}"
                break


def above(limit: dict, kind: str, limits: dict, requests: dict, of_requests: bool = False) -> Found:
    for name, most in sorted((limit.get("max") or {}).items()):
        told, bound = f"maximum {name} usage per {kind} is {most}", requests if of_requests else limits
        if name not in bound:
            yield f"{told}.  No {'request' if of_requests else 'limit'} is specified"
            continue
        for word, given in (("limit", limits), ("request", requests)):
            if name in given and quantity.parse(given[name]) > quantity.parse(most):
                yield f"{told}, but {word} is {given[name]}"
                break


def _ratio(name: str, most: str, request: str, limit: str) -> str:
    asked, allowed = quantity.parse(request), quantity.parse(limit)
    if not asked:
        return "no request is specified or request is 0"
    if not allowed:
        return "no limit is specified or limit is 0"
    ratio = allowed / asked
    return f"provided ratio is {float(ratio):f}" if ratio > quantity.parse(most) else ""
