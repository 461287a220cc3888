"""ServiceAccount: who a pod is, and the token by which it can say so.

A pod without an account gets `default`; unless it or its account says otherwise, each container finds a token, the
cluster's authority and its namespace below MOUNT_PATH.

Upstream: plugin/pkg/admission/serviceaccount/admission.go
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import orjson

from labkit.glassbox import errors, objects
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.service_account import ENFORCE_SECRETS
from labkit.glassbox.tokens import WARN_AFTER

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
PREFIX = "kube-api-access-"
SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words
NAMESPACE = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}


class NotYet(Exception):
    """The account `default` does not exist: a controller is about to make it, or this refusal is right."""

    def __init__(self, refusal: errors.ApiError):
        self.refusal = refusal


def service_account(request: Request, obj: dict, api: Api) -> None:
    """Give a pod its account's name, pull secrets and token. Raises ApiError, or NotYet, if that does not exist."""
    if request.resource.called != "pods" or "kubernetes.io/config.mirror" in (obj["metadata"].get("annotations") or {}):
        return
    spec = obj.setdefault("spec", {})
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    row = api.store.get(key(REGISTRY.find("serviceaccounts"), request.route.namespace, name))
    if row is None:
        missing = f'serviceaccount "{name}" not found'
        why = f"error looking up service account {request.route.namespace}/{name}: {missing}"
        refusal = errors.forbidden("pods", obj["metadata"].get("name", ""), why)
        raise NotYet(refusal) if name == "default" else refusal
    account = orjson.loads(row.value)
    enforces = (account["metadata"].get("annotations") or {}).get(ENFORCE_SECRETS) == "true"
    if enforces and (why := next(_foreign_secrets(spec, account), "")):
        raise errors.forbidden("pods", obj["metadata"].get("name", ""), why)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = account["imagePullSecrets"]
    if wants_token(spec, account):
        mount_token(spec)


def _foreign_secrets(spec: dict, account: dict) -> Iterator[str]:
    """Tell which secrets a pod uses that its account, which must name them, does not."""
    own, pulls = ({each.get("name") for each in account.get(field) or ()} for field in ("secrets", "imagePullSecrets"))
    ends = f"is not allowed because service account {objects.name(account)} does not reference that"
    for each in spec.get("volumes") or ():
        if "secret" in each and (name := each["secret"].get("secretName", "")) not in own:
            yield f'volume with secret.secretName="{name}" {ends} secret'
    for field, what in (("initContainers", "init container"), ("containers", "container")):
        for container in spec.get(field) or ():
            for variable in container.get("env") or ():
                asked = objects.dig(variable, "valueFrom.secretKeyRef")
                if asked and asked.get("name", "") not in own:
                    told = f'envVar {variable["name"]} referencing secret.secretName="{asked.get("name", "")}"'
                    yield f"{what} {container['name']} with {told} {ends} secret"
    for at, each in enumerate(spec.get("imagePullSecrets") or ()):
        if each.get("name") not in pulls:
            yield f'imagePullSecrets[{at}].name="{each.get("name", "")}" {ends} imagePullSecret'


def wants_token(spec: dict, account: dict) -> bool:
    """Tell whether the pod gets a token: what it says counts before what its account says."""
    own = spec.get("automountServiceAccountToken")
    return bool(account.get("automountServiceAccountToken", True) if own is None else own)


def mount_token(spec: dict) -> None:
    """Mount a token volume into each container that has nothing at its place."""
    volumes = spec.get("volumes") or []
    name = next((each["name"] for each in volumes if each.get("name", "").startswith(PREFIX)), "")
    lacking = list(_lacking(spec))
    if not lacking:
        return
    if not name:
        name = PREFIX + "".join(random.choices(SUFFIX_LETTERS, k=5))
        spec["volumes"] = [*volumes, {"name": name, "projected": token_volume()}]
    for container in lacking:
        mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]


def _lacking(spec: dict) -> Iterator[dict]:
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        if all(each.get("mountPath") != MOUNT_PATH for each in container.get("volumeMounts") or []):
            yield container


def token_volume() -> dict:
    """Return the projected volume of token, authority and namespace."""
    sources = [
        {"serviceAccountToken": {"expirationSeconds": WARN_AFTER, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": dict(NAMESPACE)}]}},
    ]
    return {"sources": sources, "defaultMode": 0o644}
