"""DefaultStorageClass, DefaultIngressClass, StorageObjectInUseProtection and PersistentVolumeClaimResize.

Upstream: plugin/pkg/admission/storage, plugin/pkg/admission/network/defaultingressclass
"""

from __future__ import annotations

import orjson

from labkit.glassbox import errors, objects, quantity
from labkit.glassbox.apiserver.objects_at_rest import key, prefix
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.resources import REGISTRY, ingress
from labkit.glassbox.resources.columns import dig
from labkit.glassbox.resources.storage_class import IS_DEFAULT, default_of

FINALIZERS = {
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "persistentvolumes": "kubernetes.io/pv-protection",
}
WANTED = "spec.resources.requests.storage"


def default_storage_class(request: Request, obj: dict, api: Api) -> None:
    """Give a claim that names no class the default one, if there is one."""
    if request.resource.called == "persistentvolumeclaims" and dig(obj, "spec.storageClassName") is None:
        _set_default(obj, "storageClassName", "storageclasses", IS_DEFAULT, api)


def default_ingress_class(request: Request, obj: dict, api: Api) -> None:
    """Give an Ingress that names no class, not in the old way either, the default one, if there is one."""
    named = dig(obj, "spec.ingressClassName") is not None or ingress.OLD_CLASS in objects.annotations(obj)
    if request.resource.called == "ingresses" and not named:
        _set_default(obj, "ingressClassName", "ingressclasses", ingress.IS_DEFAULT, api)


def _set_default(obj: dict, field: str, classes: str, annotation: str, api: Api) -> None:
    rows, _ = api.store.rows(prefix(REGISTRY.find(classes)))
    if chosen := default_of([orjson.loads(row.value) for row in rows], annotation):
        obj.setdefault("spec", {})[field] = objects.name(chosen)


def protect_while_in_use(request: Request, obj: dict, api: Api) -> None:
    """Keep a claim while a pod uses it, a volume while a claim is bound to it."""
    if finalizer := FINALIZERS.get(request.resource.called):
        held = obj["metadata"].get("finalizers") or []
        obj["metadata"]["finalizers"] = held if finalizer in held else [*held, finalizer]


def refuse_to_grow(request: Request, obj: dict, old: dict, api: Api) -> None:
    """Let a claim grow only if its class says so. Raises ApiError 403."""
    if request.resource.called != "persistentvolumeclaims" or request.route.subresource:
        return
    wanted, had = dig(obj, WANTED), dig(old, WANTED)
    if not wanted or not had or quantity.parse(wanted) <= quantity.parse(had):
        return
    if dig(old, "status.phase") != "Bound":
        return  # validation says why not
    row = api.store.get(key(REGISTRY.find("storageclasses"), "", dig(old, "spec.storageClassName", "")))
    why = "resizing volumes is not implemented by this cluster"
    if row is None or not orjson.loads(row.value).get("allowVolumeExpansion"):
        why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
        why += "support resize"
    raise errors.forbidden("persistentvolumeclaims", objects.name(old), why)
