"""RuntimeClass: a pod takes over what its class costs and where it is to be had.

Upstream: plugin/pkg/admission/runtimeclass/admission.go
"""

from __future__ import annotations

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import REGISTRY


def runtime_class(request: Request, obj: dict, api: Api) -> None:
    """Resolve a pod's class. Raises ApiError 403."""
    if request.resource.called != "pods":
        return
    spec, found = obj.setdefault("spec", {}), {}
    if name := spec.get("runtimeClassName"):
        row = api.store.get(key(REGISTRY.find("runtimeclasses"), "", name))
        if row is None:
            raise _rejected(obj, f'RuntimeClass "{name}" not found')
        found = orjson.loads(row.value)
    overhead = dig(found, "overhead.podFixed")
    if overhead and spec.setdefault("overhead", overhead) != overhead:
        raise _rejected(obj, "Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    if spec.get("overhead") and not overhead:
        raise _rejected(obj, "Pod Overhead set without corresponding RuntimeClass defined Overhead")
    scheduling = found.get("scheduling") or {}
    _select(obj, spec, scheduling.get("nodeSelector") or {})
    if more := scheduling.get("tolerations"):
        held = spec.get("tolerations") or []
        spec["tolerations"] = [*held, *(each for each in more if each not in held)]


def _select(obj: dict, spec: dict, wanted: dict) -> None:
    held = spec.get("nodeSelector") or {}
    for name, value in wanted.items():
        if held.get(name, value) != value:
            told = f"conflict: runtimeClass.scheduling.nodeSelector[{name}] = {value};"
            raise _rejected(obj, f"{told} pod.spec.nodeSelector[{name}] = {held[name]}")
    if wanted:
        spec["nodeSelector"] = {**held, **wanted}


def _rejected(obj: dict, why: str) -> errors.ApiError:
    return errors.forbidden("pods", dig(obj, "metadata.name", ""), f"pod rejected: {why}")
