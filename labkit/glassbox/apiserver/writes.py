"""create and update: decode, admit, default, prepare, validate, append.

One thread runs a write from the read of the old row to the append of the new one, so a patch needs no retry: nobody
can come between.

Invariants: what only the system may set (uid, creationTimestamp, deletionTimestamp) is never taken from a client; an
update that changes nothing appends nothing; an object whose deletion waits for finalizers goes with the last of them.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/{create,update}.go, …/registry/generic/registry/store.go
"""

from __future__ import annotations

import random
import uuid

import orjson

from labkit.glassbox import clock, errors
from labkit.glassbox.apiserver import admission, allocation, schema
from labkit.glassbox.apiserver.admission import webhooks
from labkit.glassbox.apiserver.admission.quota import charge
from labkit.glassbox.apiserver.admission.service_account import SUFFIX_LETTERS
from labkit.glassbox.apiserver.decoding import decode
from labkit.glassbox.apiserver.fields.managers import differ
from labkit.glassbox.apiserver.managed import track
from labkit.glassbox.apiserver.objects_at_rest import as_served, encode, key, served_bytes, stored, to_stored
from labkit.glassbox.apiserver.reads import read, revision_fault
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import Resource
from labkit.glassbox.resources.validation.fields import shown
from labkit.glassbox.store import Row

EVENT_SECONDS = 3600.0  # events go after an hour, as with kube-apiserver's --event-ttl
SYSTEM_FIELDS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "namespace",
    "generateName",
)
REFUSED_CHANGES = ("uid", "deletionTimestamp", "deletionGracePeriodSeconds")
NOW = 1 << 63  # later than every revision
AFTER_ADMISSION = " after mutating admission happens"  # where upstream looks at what a patch makes
OWNED_TWICE = (
    "API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your "
    "requests; duplicate UID(s) observed: "
)
DROPPED = ("selfLink", "clusterName")


def create(request: Request, api: Api) -> Answer:
    """Store a new object. Raises ApiError 400, 403, 404, 409, 415, 422."""
    request.check_options("CreateOptions")
    obj = decode(request, request.resource)
    check_namespace(obj, request)
    return create_object(request, obj, api)


def create_object(request: Request, obj: dict, api: Api, entries: list | None = None) -> Answer:
    """Store a decoded object as new; entries say who manages it, of an applied one."""
    resource, meta = request.resource, obj["metadata"]
    if meta.get("resourceVersion"):
        raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
    if resource.custom and resource.custom.is_terminating:
        told = "create not allowed while custom resource definition is terminating"
        raise errors.ApiError(405, "MethodNotAllowed", told, {"group": resource.group, "kind": resource.plural})
    keep_owners_once(request, meta)
    schema.apply_defaults(resource, obj)
    resource.strategy.default(obj)
    if entries := track(request, api, obj, None) if entries is None else entries:
        meta["managedFields"] = entries
    admission.admit_create(request, obj, api)
    if webhooks.mutate(request, "CREATE", obj, None, api):
        admission.admit_create(request, obj, api)  # a webhook's object is held to the same rules
        meta = obj["metadata"]
    fill_metadata(request, meta, api)
    resource.strategy.prepare_for_create(obj)
    allocation.on_create(request, obj, api)
    refuse(resource, meta.get("name", ""), check(resource, obj) or _unnamed(meta))
    request.warnings.extend(resource.strategy.warnings(obj))
    charges = admission.validate_create(request, obj, api)
    answer = insert(request, obj, api)
    if not request.dry_run:
        charge(charges, api)
    return answer


def check(resource: Resource, obj: dict) -> list[Cause]:
    """Return every cause for refusing this object."""
    return resource.strategy.validate(obj)


def _unnamed(meta: dict) -> list[Cause]:
    told = "Required value: name or generateName is required"
    return [] if meta.get("name") else [Cause("FieldValueRequired", told, "metadata.name")]


def refuse(resource: Resource, name: str, causes: list[Cause]) -> None:
    """Raise ApiError 422 if there are causes."""
    if causes:
        raise errors.invalid(resource.kind, stored(resource).group, name, causes)


def check_namespace(obj: dict, request: Request) -> None:
    """Refuse an object whose namespace is not that of the path. Raises ApiError 400."""
    if not request.resource.namespaced:
        obj["metadata"].pop("namespace", None)
    given = obj["metadata"].get("namespace", "")
    if given and given != request.route.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def fill_metadata(request: Request, meta: dict, api: Api) -> None:
    """Set what only the system sets; find a name if a prefix is given."""
    for field in (*DROPPED, "deletionTimestamp", "deletionGracePeriodSeconds"):
        meta.pop(field, None)
    if request.route.namespace:
        meta["namespace"] = request.route.namespace
    if meta.get("generateName") and not meta.get("name"):
        suffix = request.drawn.setdefault("suffix", "".join(random.choices(SUFFIX_LETTERS, k=5)))
        meta["name"] = meta["generateName"][:58] + suffix
    meta["uid"] = request.drawn.setdefault("uid", str(uuid.uuid4()))
    meta["creationTimestamp"] = clock.rfc3339(api.clock.now())


def insert(request: Request, obj: dict, api: Api) -> Answer:
    """Append the first revision of an object. Raises ApiError 409."""
    resource, meta = request.resource, obj["metadata"]
    at = key(resource, meta.get("namespace", ""), meta["name"])
    if existing := api.store.get(at):
        raise _already_exists(resource, meta, existing)
    rest = to_stored(resource, obj)
    if request.dry_run:
        return Answer(201, raw=_shown(resource, encode(stored(resource), rest, None)))
    value = encode(stored(resource), rest, api.store.revision + 1)
    api.store.append(at, value, expect=0, seconds_to_live=lifetime(resource))
    return Answer(201, raw=_shown(resource, value))


def _already_exists(resource: Resource, meta: dict, existing: Row) -> errors.ApiError:
    error = errors.already_exists(resource.plural, meta["name"], resource.group)
    if meta.get("generateName"):  # upstream takes it that the name was drawn
        error.message += ", the server was not able to generate a unique name for the object"
        error.details = {**(error.details or {}), "retryAfterSeconds": 1}
    if "deletionTimestamp" in orjson.loads(existing.value)["metadata"]:
        error.message = f"object is being deleted: {error.message}"
    return error


def _shown(resource: Resource, value: bytes) -> bytes:
    return served_bytes(resource, value, NOW)


def lifetime(resource: Resource) -> float | None:
    """Return after how many seconds an object goes by itself."""
    return EVENT_SECONDS if resource.called == "events" else None


def update(request: Request, api: Api) -> Answer:
    """Replace an object, or its status. Raises ApiError 400, 404, 409, 415, 422."""
    request.check_options("UpdateOptions")
    route, resource = request.route, request.resource
    obj = decode(request, resource)
    check_name(obj, route.name)
    check_namespace(obj, request)
    row = api.store.get(key(resource, route.namespace, route.name))
    if row is None and resource.strategy.allow_create_on_update and not route.subresource:
        if obj["metadata"].get("resourceVersion"):
            raise errors.not_found(resource.plural, route.name, resource.group)
        return create_object(request, obj, api)
    row = row or read(api.store, resource, route.namespace, route.name)
    check_unconditional(resource, obj)
    check_uid(resource, row, obj)
    return apply_update(request, api, row, obj)


def check_name(obj: dict, name: str) -> None:
    """Refuse a body that names another object than the path, or none. Raises ApiError 400."""
    given = obj["metadata"].get("name")
    if not given:
        told = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        raise errors.bad_request(told)
    if given != name:
        raise errors.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def check_unconditional(resource: Resource, obj: dict) -> None:
    if resource.strategy.allow_unconditional_update or obj["metadata"].get("resourceVersion"):
        return
    message = "Invalid value: 0: must be specified for an update"
    cause = Cause("FieldValueInvalid", message, "metadata.resourceVersion")
    raise errors.invalid(resource.plural, resource.group, obj["metadata"]["name"], [cause])


def check_uid(resource: Resource, row: Row, obj: dict) -> None:
    """Refuse to overwrite another object of the same name. Raises ApiError 409."""
    given, held = obj["metadata"].get("uid"), orjson.loads(row.value)["metadata"]["uid"]
    if given and given != held:
        fault = f"Precondition failed: UID in precondition: {given}, UID in object meta: {held}"
        told = f"StorageError: invalid object, Code: 4, Key: {row.key}, ResourceVersion: 0, AdditionalErrorMsg: {fault}"
        raise errors.conflict(resource.plural, obj["metadata"]["name"], told, resource.group)


def apply_update(request: Request, api: Api, row: Row, obj: dict, entries: list | None = None) -> Answer:
    """Make obj the next revision of row, unless it changes nothing; entries say who manages it, of an applied one.

    Raises ApiError 409, 422, 500.
    """
    resource = request.resource
    old = as_served(resource, orjson.loads(row.value))
    check_version(resource, row, obj["metadata"])
    keep_system_metadata(obj["metadata"], old["metadata"])
    keep_owners_once(request, obj["metadata"], "" if request.route.verb == "update" else AFTER_ADMISSION)
    schema.apply_defaults(resource, obj)
    resource.strategy.default(obj)
    if part := resource.strategy.parts.get(request.route.subresource):
        part.prepare_for_update(obj, old)  # nobody manages what such a write leaves as it is
    entries = track(request, api, obj, old) if entries is None else entries
    allocation.on_update(request, obj, old, api)
    admission.admit_update(request, obj, old, api)
    if webhooks.mutate(request, "UPDATE", obj, old, api):
        keep_system_metadata(obj["metadata"], old["metadata"])
        admission.admit_update(request, obj, old, api)
    causes = _prepare_and_check(resource, request.route.subresource, obj, old)
    refuse(resource, obj["metadata"]["name"], causes)
    if request.route.subresource != "status":
        request.warnings.extend(resource.strategy.change_warnings(obj, old))
    charges = admission.validate_update(request, obj, old, api)
    obj["metadata"]["managedFields"] = entries
    answer = replace(request, api, row, obj, old)
    if not request.dry_run:
        charge(charges, api)
    return answer


def _prepare_and_check(resource: Resource, subresource: str, obj: dict, old: dict) -> list[Cause]:
    strategy = resource.strategy.parts.get(subresource, resource.strategy)
    if subresource == "status":
        strategy.prepare_for_status_update(obj, old)
        specific = strategy.validate_status_update
    else:
        strategy.prepare_for_update(obj, old)
        specific = strategy.validate_update
    causes = [*_metadata_faults(obj["metadata"], old["metadata"])]
    return [*causes, *specific(obj, old)]


def check_version(resource: Resource, row: Row, meta: dict) -> None:
    """Refuse a write that was based on an older revision. Raises ApiError 409, or 500 as upstream does."""
    given = meta.get("resourceVersion") or "0"
    if fault := revision_fault(given):
        raise errors.ApiError(500, "", fault)
    if given != "0" and int(given) != row.revision:
        raise errors.conflict(resource.plural, meta["name"], "", resource.group)


def keep_owners_once(request: Request, meta: dict, when: str = "") -> None:
    """Drop owners that are named again word by word, and warn of them."""
    given = meta.get("ownerReferences") or []
    again = [each for at, each in enumerate(given) if each in given[:at]]
    if again:
        meta["ownerReferences"] = [each for at, each in enumerate(given) if each not in given[:at]]
        uids = ", ".join(each.get("uid", "") for each in again)
        request.warnings.append(f".metadata.ownerReferences contains duplicate entries{when}; {OWNED_TWICE}{uids}")


def keep_system_metadata(meta: dict, old: dict) -> None:
    """Carry over what clients may not change; what of it is refused when it has changed stays, for that."""
    for field in SYSTEM_FIELDS:
        if field in REFUSED_CHANGES and meta.get(field):
            continue
        if field in old:
            meta[field] = old[field]
        else:
            meta.pop(field, None)
    for field in DROPPED:
        meta.pop(field, None)


def _metadata_faults(meta: dict, old: dict) -> list[Cause]:
    causes = []
    for field in REFUSED_CHANGES:
        if meta.get(field) != old.get(field):
            told = f"Invalid value: {shown(meta[field])}: field is immutable"
            causes += [Cause("FieldValueInvalid", told, f"metadata.{field}")] * 2  # upstream's validation looks twice
    new = [each for each in meta.get("finalizers") or [] if each not in (old.get("finalizers") or [])]
    if "deletionTimestamp" in old and new:
        listed = ", ".join(f'"{each}"' for each in sorted(new))
        told = "no new finalizers can be added if the object is being deleted, found new finalizers"
        fault = Cause("FieldValueForbidden", f"Forbidden: {told} []string{{{listed}}}", "metadata.finalizers")
        causes += [fault, fault]
    return causes


def replace(request: Request, api: Api, row: Row, obj: dict, old: dict) -> Answer:
    """Append obj if it differs from old; remove it if it only waited for its last finalizer."""
    resource, meta = request.resource, obj["metadata"]
    for field in ("finalizers", "labels", "annotations", "ownerReferences", "managedFields"):
        if not meta.get(field):
            meta.pop(field, None)
    entries, held = meta.get("managedFields") or [], old["metadata"].get("managedFields") or []
    if entries and not differ(entries, held):
        meta["managedFields"] = held  # when is not enough to make a write of it
    rest = to_stored(resource, obj)
    unchanged = encode(stored(resource), rest, row.revision)
    if is_finished(obj):
        if not request.dry_run:
            remove(api, stored(resource), row, orjson.loads(row.value))  # watchers are shown what was stored last
        return Answer(raw=_shown(resource, unchanged))
    if request.dry_run or (obj_equal(unchanged, row.value) and not api.store.is_stale(row)):
        return Answer(raw=_shown(resource, unchanged))
    rest["metadata"]["managedFields"] = entries
    value = encode(stored(resource), rest, api.store.revision + 1)
    api.store.append(row.key, value, expect=row.revision, seconds_to_live=lifetime(resource))
    return Answer(raw=_shown(resource, value))


def obj_equal(new: bytes, held: bytes) -> bool:
    return new == held or orjson.loads(new) == orjson.loads(held)


def is_finished(obj: dict) -> bool:
    """Tell whether nothing holds a deleted object any more."""
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return not (obj["kind"] == "Namespace" and (obj.get("spec") or {}).get("finalizers"))


def remove(api: Api, resource: Resource, row: Row, obj: dict) -> bytes:
    """Append the end of an object; return its last state."""
    value = encode(resource, obj, api.store.revision + 1)
    api.store.append(row.key, value, expect=row.revision, deleted=True)
    return value
