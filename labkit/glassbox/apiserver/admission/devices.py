"""Devices with an administrator's access: only in namespaces whose label says so.

Upstream: pkg/registry/resource/utils.go
"""

from __future__ import annotations

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.validation.fields import forbidden, items

LABEL = "resource.kubernetes.io/admin-access"
CLAIMS = {"resourceclaims": "spec.devices.requests", "resourceclaimtemplates": "spec.spec.devices.requests"}
GIVEN = "status.allocation.devices.results"


def check_admin_access(request: Request, obj: dict, api: Api, old: dict | None = None) -> None:
    """Refuse what asks for such access, or is given it, elsewhere. Raises ApiError 422."""
    resource, name = request.resource, obj["metadata"].get("name", "")
    asked = CLAIMS.get(resource.called)
    if not asked:
        return
    if request.route.subresource == "status":
        if any(each.get("adminAccess") for each in dig(old or {}, GIVEN) or ()):
            return
        found = [at for at, each in items(dig(obj, GIVEN), GIVEN) if each.get("adminAccess")]
    else:
        given = items(dig(obj, asked) if old is None else (), "spec.devices.requests")
        found = [at for at, each in given if dig(each, "exactly.adminAccess")]
    if found and not _is_labelled(request, api):
        told = f"admin access to devices requires the `{LABEL}: true` label on the containing namespace"
        raise errors.invalid(resource.kind, resource.group, name, [forbidden(f"{found[0]}.adminAccess", told)])


def _is_labelled(request: Request, api: Api) -> bool:
    row = api.store.get(key(REGISTRY.find("namespaces"), "", request.route.namespace or ""))
    labels = (orjson.loads(row.value)["metadata"].get("labels") or {}) if row else {}
    return labels.get(LABEL) == "true"
