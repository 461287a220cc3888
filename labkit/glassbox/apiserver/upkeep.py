"""The controllers that live in the API server: an IPAddress for each address of a service, and what a status tells.

What is kept here without having its effect says so in a condition: an APIService that names a Service, a further range
of services' addresses.

Upstream: pkg/registry/core/service/ipallocator/controller, pkg/controlplane/controller/defaultservicecidr,
staging/src/k8s.io/apiserver/pkg/util/flowcontrol, …/kube-aggregator/pkg/controllers/status
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import orjson

from labkit.glassbox.apiserver import type_checking
from labkit.glassbox.apiserver.handlers import handle_itself
from labkit.glassbox.apiserver.objects_at_rest import key, prefix
from labkit.glassbox.apiserver.request import Api
from labkit.glassbox.errors import ApiError
from labkit.glassbox.objects import condition, dig, set_condition
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.admission_policy import POLICIES

log = logging.getLogger(__name__)

SERVICES, ADDRESSES = REGISTRY.find("services"), REGISTRY.find("ipaddresses")
SCHEMAS, LEVELS = REGISTRY.find("flowschemas"), REGISTRY.find("prioritylevelconfigurations")
TOLD = {each.plural: each for each in (SCHEMAS, REGISTRY.find("apiservices"), REGISTRY.find("servicecidrs"), POLICIES)}
LABELS = {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}


async def keep_up(api: Api) -> None:
    """Follow what changes for ever. What fails is told in the log."""
    waiting: set[str] = set()
    changed = asyncio.Event()

    def note(change) -> None:
        waiting.update(keys_of(change.row.key, change.row.value, change.before, api))
        changed.set()

    for resource in (SERVICES, LEVELS, *TOLD.values()):
        api.store.subscribe(prefix(resource), note)
    waiting.update(everything(api))
    while True:
        while waiting:
            at = waiting.pop()
            try:
                look_after(at, api)
            except ApiError as error:
                log.warning("%s", error.message)
            except Exception:  # the others have to be looked after
                log.exception("%s could not be looked after", at)
            await asyncio.sleep(0)
        changed.clear()
        await changed.wait()


def everything(api: Api) -> Iterator[str]:
    """Yield the key of whatever may have to be looked after at a start."""
    for resource in (*TOLD.values(), ADDRESSES):
        yield from (row.key for row in api.store.rows(prefix(resource))[0])
    for row in api.store.rows(prefix(SERVICES))[0]:
        yield from (key(ADDRESSES, "", each) for each in addresses(row.value))


def keys_of(changed: str, after: bytes, before: bytes | None, api: Api) -> Iterator[str]:
    """Yield the keys that a change concerns."""
    if changed.startswith(prefix(SERVICES)):
        if before is None or addresses(before) != addresses(after) or api.store.get(changed) is None:
            yield from (key(ADDRESSES, "", each) for each in {*addresses(before or b"{}"), *addresses(after)})
    elif changed.startswith(prefix(LEVELS)):
        yield from (row.key for row in api.store.rows(prefix(SCHEMAS))[0])
    else:
        yield changed


def addresses(service: bytes) -> list[str]:
    return [each for each in dig(orjson.loads(service), "spec.clusterIPs") or [] if each != "None"]


def look_after(at: str, api: Api) -> None:
    """Bring an address or a condition to what it should be. Raises ApiError."""
    plural, name = at.removeprefix("/registry/").split("/")
    if plural == ADDRESSES.plural:
        _address(name, api)
    elif row := api.store.get(at):
        obj = orjson.loads(row.value)
        if wanted := status(obj, api):
            obj["status"] = {**(obj.get("status") or {}), **wanted}
            handle_itself("PUT", TOLD[plural].path(None, name, "status"), obj, api)


def status(obj: dict, api: Api) -> dict | None:
    """Return what of an object's status is to be written; None if it is as it should be."""
    if obj["kind"] == POLICIES.kind:
        is_new = dig(obj, "status.observedGeneration") != obj["metadata"]["generation"]
        return type_checking.status(obj) if is_new else None
    wanted = told(obj, api)
    held = condition(obj, wanted["type"]) if wanted else None
    if wanted is None or (held and all(held.get(field) == value for field, value in wanted.items())):
        return None
    return {"conditions": set_condition(dig(obj, "status.conditions"), wanted, api.clock.now())}


def _address(name: str, api: Api) -> None:
    quoted = f'"{name}"'.encode()
    owner = next((each for each in _services(api) if quoted in each and name in addresses(each)), None)
    path, row = ADDRESSES.path(), api.store.get(key(ADDRESSES, "", name))
    held = orjson.loads(row.value) if row else None
    if owner is None:
        if held and dig(held, "spec.parentRef.resource") == "services" and held["metadata"].get("labels") == LABELS:
            handle_itself("DELETE", f"{path}/{name}", None, api)
    elif held is None:
        meta = orjson.loads(owner)["metadata"]
        parent = {"resource": "services", "namespace": meta["namespace"], "name": meta["name"]}
        obj = {"metadata": {"name": name, "labels": LABELS}, "spec": {"parentRef": parent}}
        handle_itself("POST", path, obj, api)


def _services(api: Api) -> Iterator[bytes]:
    return (row.value for row in api.store.rows(prefix(SERVICES))[0])


def told(obj: dict, api: Api) -> dict | None:
    """Return the condition that an object should have."""
    spec, name = obj["spec"], obj["metadata"]["name"]
    if obj["kind"] == "APIService":
        if not (service := spec.get("service")):
            return None
        whom = f"{service['namespace']}/{service['name']}"
        why = f"glassbox answers for its own groups alone: requests are not passed on to the Service {whom}"
        return _condition("Available", False, "NotServed", why)
    if obj["kind"] == "ServiceCIDR":
        if name == "kubernetes":
            return _condition("Ready", True, "", "Kubernetes Service CIDR is ready")
        why = f"glassbox gives services addresses from {api.service_range} alone"
        return _condition("Ready", False, "NotServed", why)
    level = spec["priorityLevelConfiguration"]["name"]
    why = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    if api.store.get(key(LEVELS, "", level)):
        return _condition("Dangling", False, "Found", f"{why} and it exists")
    return _condition("Dangling", True, "NotFound", f"{why} but there is no such object")


def _condition(kind: str, holds: bool, reason: str, message: str) -> dict:
    return {"type": kind, "status": str(holds), "reason": reason, "message": message}
