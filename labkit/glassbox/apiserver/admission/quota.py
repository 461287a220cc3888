"""ResourceQuota: refuses what a namespace may not have on top of what it has, and charges it for what it gets.

A quota counts as soon as its controller has said in the status what is used; until then it is not enforced. The charge
is written with the object, in the same step, so that two requests cannot share what is left for one.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from labkit.glassbox import errors, objects, quantity, quota
from labkit.glassbox.apiserver.objects_at_rest import encode, prefix
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.quota import Amounts
from labkit.glassbox.resources.resource_quota import RESOURCE_QUOTAS
from labkit.glassbox.store import Row

CHANGING = ("services", "persistentvolumeclaims")  # of which a change may ask for more
PER_CONTAINER = tuple(f"{field}{name}" for field in ("", "requests.", "limits.") for name in quota.COMPUTE)


@dataclass(frozen=True)
class Charge:
    """A quota and what it will have used."""

    row: Row
    quota: dict
    used: Amounts


def check_quota(request: Request, obj: dict, api: Api, old: dict | None = None) -> list[Charge]:
    """Return what is to be charged for an object, or its change. Raises ApiError 403."""
    resource, namespace = request.resource, request.route.namespace
    if not namespace or request.route.subresource or (old and resource.called not in CHANGING):
        return []
    rows, _ = api.store.rows(prefix(RESOURCE_QUOTAS, namespace))
    if not rows:
        return []
    wanted = quota.more(quota.usage(resource, obj), quota.usage(resource, old) if old else {})
    held = ((row, orjson.loads(row.value)) for row in rows)
    return list(_charges(request, obj, wanted, [pair for pair in held if quota.applies(pair[1], resource, obj)]))


def _charges(request: Request, obj: dict, wanted: Amounts, held: list[tuple[Row, dict]]) -> Iterator[Charge]:
    for row, each in held:
        hard = objects.dig(each, "status.hard") or {}
        if request.resource.called == "pods" and (lacking := unspecified(obj, hard)):
            raise _refused(request, obj, f"failed quota: {objects.name(each)}: must specify {lacking}")
        asked, used = quota.only(wanted, hard), objects.dig(each, "status.used") or {}
        if not asked:
            continue
        if unknown := [name for name in sorted(asked) if name not in used]:
            told = f"status unknown for quota: {objects.name(each)}, resources: {','.join(unknown)}"
            raise _refused(request, obj, told)
        after = quota.added(quota.only(used, asked), asked)
        over = [name for name in sorted(asked) if quantity.parse(after[name]) > quantity.parse(hard[name])]
        if over:
            shown = [",".join(f"{name}={of[name]}" for name in over) for of in (asked, used, hard)]
            told = f"exceeded quota: {objects.name(each)}, requested: {shown[0]}, used: {shown[1]}, limited: {shown[2]}"
            raise _refused(request, obj, told)
        yield Charge(row, each, {**used, **after})


def unspecified(pod: dict, hard: Amounts) -> str:
    """Return what containers must say because a quota counts it: "limits.memory for: a,b; requests.cpu for: a"."""
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
    lacking = []
    for name in sorted(name for name in hard if name in PER_CONTAINER):
        field, _, what = name.rpartition(".")
        silent = [
            each["name"]
            for each in containers
            if what not in ((each.get("resources") or {}).get(field or "requests") or {})
        ]
        if silent and what not in ((pod["spec"].get("resources") or {}).get(field or "requests") or {}):
            lacking.append(f"{name} for: {','.join(silent)}")
    return "; ".join(lacking)


def _refused(request: Request, obj: dict, why: str) -> errors.ApiError:
    return errors.forbidden(request.resource.plural, obj["metadata"].get("name", ""), why, request.resource.group)


def charge(charges: list[Charge], api: Api) -> None:
    """Write what is used from now on."""
    for each in charges:
        changed = {**each.quota, "status": {**each.quota["status"], "used": each.used}}
        value = encode(RESOURCE_QUOTAS, changed, api.store.revision + 1)
        api.store.append(each.row.key, value, expect=each.row.revision)
