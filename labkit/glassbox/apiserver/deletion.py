"""delete and deletecollection: at once, after a grace period, or when the last finalizer is gone.

Only pods have a grace period: their kubelet deletes them for good, with grace 0, when the containers have ended.
propagationPolicy becomes a finalizer (`foregroundDeletion`, `orphan`) that the garbage collector removes.

Upstream: staging/src/k8s.io/apiserver/pkg/registry/rest/delete.go, …/registry/generic/registry/store.go,
pkg/registry/core/pod/strategy.go
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from labkit.glassbox import clock, errors
from labkit.glassbox.apiserver import admission, protobuf
from labkit.glassbox.apiserver.admission import webhooks
from labkit.glassbox.apiserver.decoding import loads
from labkit.glassbox.apiserver.negotiation import PROTOBUF
from labkit.glassbox.apiserver.objects_at_rest import as_served, encode, stored, to_stored
from labkit.glassbox.apiserver.readers import Mismatch, Notes, struct
from labkit.glassbox.apiserver.reads import integer, list_body, listed, read
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.apiserver.routes import flag
from labkit.glassbox.apiserver.writes import is_finished, remove
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import Resource
from labkit.glassbox.store import Row

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
POLICIES = {"Foreground": FOREGROUND, "Orphan": ORPHAN, "Background": None}
ANSWERED_WITH_OBJECT = (
    *("pods", "services", "serviceaccounts", "podtemplates", "resourcequotas"),
    *("persistentvolumes", "persistentvolumeclaims", "storageclasses"),
)
DEFAULT_GRACE = 30  # seconds
DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"


@dataclass(frozen=True)
class Options:
    """meta/v1 DeleteOptions."""

    grace: int | None = None
    policy: str | None = None
    orphan: bool | None = None
    dry_run: bool = False
    uid: str | None = None
    version: str | None = None
    causes: tuple[Cause, ...] = field(default=())


def delete(request: Request, api: Api) -> Answer:
    """Delete one object. Raises ApiError 400, 403, 404, 409, 422."""
    options = read_options(request)
    route, resource = request.route, request.resource
    admission.admit_delete(request, route.name, api)
    row = read(api.store, resource, route.namespace, route.name)
    webhooks.review(request, "DELETE", None, as_served(resource, orjson.loads(row.value)), api)
    if resource.strategy.orphaning_warning and options.policy is None and options.orphan is None:
        request.warnings.append(resource.strategy.orphaning_warning)
    return delete_row(resource, row, options, api)


def delete_collection(request: Request, api: Api) -> Answer:
    """Delete what the selectors match, or one page of it; answer with what was there."""
    options = read_options(request)
    resource = request.resource
    rows, meta = listed(request, api)
    answer = Answer(raw=list_body(resource, meta, rows), is_list=True)
    if api.hooks.are_there:
        for row in rows:  # all are asked about before the first goes
            webhooks.review(request, "DELETE", None, as_served(resource, orjson.loads(row.value)), api)
    for row in rows:
        if current := api.store.get(row.key):  # the page may be one of an older revision
            delete_row(resource, current, options, api)
    return answer


def read_options(request: Request) -> Options:
    """Return the options of the body, else of the query. Raises ApiError 400 or 422."""
    given: dict[str, Any] = dict(_body_options(request)) if request.body else _query_options(request)
    if "dryRun" in request.query:
        given.setdefault("dryRun", [request.query["dryRun"]])
    return options_of(given)


def options_of(given: dict) -> Options:
    """Return DeleteOptions as our own. Raises ApiError 422."""
    causes = list(_faults(given))
    if causes:
        raise errors.invalid("DeleteOptions", "meta.k8s.io", "", causes)
    preconditions = given.get("preconditions") or {}
    return Options(
        grace=given.get("gracePeriodSeconds"),
        policy=given.get("propagationPolicy"),
        orphan=given.get("orphanDependents"),
        dry_run=bool(given.get("dryRun")),
        uid=preconditions.get("uid"),
        version=preconditions.get("resourceVersion"),
    )


def _body_options(request: Request) -> dict:
    try:
        body = protobuf.decode(request.body) if request.content_type.startswith(PROTOBUF) else loads(request.body)
    except ValueError as error:
        raise errors.bad_request(str(error)) from None
    kind = (body or {}).get("kind", "DeleteOptions")
    if kind != "DeleteOptions":
        scheme = 'scheme "pkg/apis/meta/internalversion/scheme/register.go:27"'
        version = body.get("apiVersion", "")
        raise errors.bad_request(f'no kind "{kind}" is registered for version "{version}" in {scheme}')
    try:
        return struct(DELETE_OPTIONS)(body or {}, "", "", Notes())
    except (ValueError, Mismatch) as error:
        told = 'DeleteOptions in version "v1" cannot be handled as a DeleteOptions'
        raise errors.bad_request(f"{told}: {error}") from None


def _query_options(request: Request) -> dict:
    query = request.query
    given: dict[str, Any] = {}
    if "gracePeriodSeconds" in query:
        given["gracePeriodSeconds"] = integer(query["gracePeriodSeconds"])
    if "propagationPolicy" in query:
        given["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        given["orphanDependents"] = flag(query, "orphanDependents")
    return given


def _faults(given: dict):
    policy, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    if policy is not None and orphan is not None:
        told = f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set'
        yield Cause("FieldValueInvalid", told, "propagationPolicy")
    elif policy is not None and policy not in POLICIES:
        told = f'Unsupported value: "{policy}": supported values: "Foreground", "Background", "Orphan", "nil"'
        yield Cause("FieldValueNotSupported", told, "propagationPolicy")
    if any(value != "All" for value in given.get("dryRun") or []):
        shown = orjson.dumps(given["dryRun"]).decode()
        yield Cause("FieldValueNotSupported", f'Unsupported value: {shown}: supported values: "All"', "dryRun")


def delete_row(resource: Resource, row: Row, options: Options, api: Api) -> Answer:
    """Delete a live object as the options say; return the answer of a single delete."""
    obj = as_served(resource, orjson.loads(row.value))
    check_preconditions(resource, obj, options)
    before = orjson.dumps(obj)
    mark(resource, obj, options, api.clock.now())
    rest = to_stored(resource, obj)
    if is_finished(obj):
        return _gone(resource, row, obj, rest, options, api)
    if orjson.dumps(obj) == before or options.dry_run:
        return Answer(raw=encode(resource, obj, row.revision))
    value = encode(stored(resource), rest, api.store.revision + 1)
    api.store.append(row.key, value, expect=row.revision, seconds_to_live=None)
    return Answer(raw=encode(resource, obj, api.store.revision))


def _gone(resource: Resource, row: Row, obj: dict, rest: dict, options: Options, api: Api) -> Answer:
    if resource.called != "pods":
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            if name not in orjson.loads(row.value)["metadata"]:
                obj["metadata"].pop(name, None)
                rest["metadata"].pop(name, None)
        if resource.strategy.counts_generation:
            rest["metadata"]["generation"] = orjson.loads(row.value)["metadata"].get("generation", 1)
    if not options.dry_run:
        if resource.called == "pods" and "deletionTimestamp" not in orjson.loads(row.value)["metadata"]:
            value = encode(stored(resource), rest, api.store.revision + 1)  # watchers see first that it is deleted
            row = api.store.append(row.key, value, expect=row.revision)
        remove(api, stored(resource), row, rest)
    if resource.called in ANSWERED_WITH_OBJECT:
        return Answer(raw=encode(resource, obj, row.revision if options.dry_run else api.store.revision))
    return Answer(obj=success(resource, obj))


def success(resource: Resource, obj: dict) -> dict:
    """Return the Status that tells of a deletion."""
    details = {"name": obj["metadata"]["name"], "group": resource.group, "kind": resource.plural}
    details["uid"] = obj["metadata"]["uid"]
    shown = {name: value for name, value in details.items() if value}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": shown}


def check_preconditions(resource: Resource, obj: dict, options: Options) -> None:
    """Raise ApiError 409 if the object is not the one that the client means."""
    meta = obj["metadata"]
    if options.uid and options.uid != meta["uid"]:
        why = f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
        why += "The object might have been deleted and then recreated"
    elif options.version and options.version != meta["resourceVersion"]:
        why = f"the ResourceVersion in the precondition ({options.version}) does not match the ResourceVersion in "
        why += f"record ({meta['resourceVersion']}). The object might have been modified"
    else:
        return
    raise errors.conflict(resource.kind, meta["name"], why, resource.group)


def mark(resource: Resource, obj: dict, options: Options, now: float) -> None:
    """Write into the object that, and until when, it is being deleted."""
    meta = obj["metadata"]
    finalizers = finalizers_for(meta.get("finalizers") or [], options, resource.strategy.orphans_by_default)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    grace = grace_of(resource, obj, options)
    if "deletionTimestamp" in meta:
        _shorten(meta, grace)
        return
    meta["deletionTimestamp"] = clock.rfc3339(now + grace)
    resource.strategy.mark_deleted(obj, grace, clock.rfc3339(now))


def _shorten(meta: dict, grace: int) -> None:
    """Let an object that is being deleted go sooner; never later."""
    held = meta.get("deletionGracePeriodSeconds") or 0
    if grace < held:
        meta["deletionTimestamp"] = clock.rfc3339(clock.parse(meta["deletionTimestamp"]) - held + grace)
        meta["deletionGracePeriodSeconds"] = grace


def grace_of(resource: Resource, obj: dict, options: Options) -> int:
    """Return how many seconds the object still has."""
    if resource.called != "pods":
        return 0
    spec, phase = obj.get("spec") or {}, (obj.get("status") or {}).get("phase")
    if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    grace = options.grace
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE)
    return 1 if grace < 0 else grace


def finalizers_for(held: list[str], options: Options, orphans: bool = False) -> list[str]:
    """Return the finalizers that make the garbage collector do what the policy, or the kind's own default, says."""
    policy = options.policy
    if policy is None and options.orphan is not None:
        policy = "Orphan" if options.orphan else "Background"
    if policy is None:
        return [*held, ORPHAN] if orphans and not {FOREGROUND, ORPHAN} & set(held) else held
    wanted = POLICIES[policy]
    kept = [each for each in held if each not in (FOREGROUND, ORPHAN)]
    return [*kept, wanted] if wanted else kept
