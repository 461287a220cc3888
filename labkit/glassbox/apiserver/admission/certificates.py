"""Certificates: whose name a request is in, who may approve it, and who may sign.

Upstream: plugin/pkg/admission/certificates, pkg/registry/certificates/certificates/strategy.go
"""

from __future__ import annotations

import base64

from labkit.glassbox import clock, errors
from labkit.glassbox.apiserver.auth import MASTERS
from labkit.glassbox.apiserver.authorization.attributes import Attributes
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.objects import dig

GROUP, REQUESTS = "certificates.k8s.io", "certificatesigningrequests"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"


def name_requestor(request: Request, obj: dict, api: Api) -> None:
    """Write into a request who it is from. Raises ApiError 403 for one that would make its bearer almighty."""
    if request.resource.called != REQUESTS:
        return
    spec, user = obj.setdefault("spec", {}), request.user
    told = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": dict(user.extra)}
    for field, value in told.items():
        spec.pop(field, None)
        if value:
            spec[field] = value
    if spec.get("signerName") == CLIENT_SIGNER and MASTERS in organizations(spec.get("request", "")):
        raise _refused(obj, f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed")


def organizations(encoded: str) -> list:
    """Return the groups that a certificate would put its bearer in; none of what is no request."""
    from cryptography import x509

    try:
        subject = x509.load_pem_x509_csr(base64.b64decode(encoded)).subject
    except ValueError:
        return []  # validation says what is wrong with it
    return [each.value for each in subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)]


def guard_signers(request: Request, obj: dict, old: dict, api: Api) -> None:
    """Let a request be approved, or signed, by those alone who may for its signer. Raises ApiError 403."""
    if request.resource.called != REQUESTS or not request.route.subresource:
        return
    before, after = (each.get("status") or {} for each in (old, obj))
    if request.route.subresource == "approval":
        verb = "approve"
    elif before.get("certificate") != after.get("certificate") or before.get("conditions") != after.get("conditions"):
        verb = "sign"
    else:
        return
    signer = old["spec"]["signerName"]
    if not _may(request, verb, signer, api):
        raise _refused(obj, f'user not permitted to {verb} requests with signerName "{signer}"')
    _note_times(after.get("conditions") or [], before.get("conditions") or [], clock.rfc3339(api.clock.now()))


def _may(request: Request, verb: str, signer: str, api: Api) -> bool:
    names = (signer, signer.partition("/")[0] + "/*")
    return any(api.authorizer.decide(request.user, Attributes(verb, GROUP, "signers", name=n)).allowed for n in names)


def _note_times(conditions: list[dict], old: list[dict], now: str) -> None:
    known = {(each["type"], each.get("status")): each.get("lastTransitionTime") for each in old}
    for each in conditions:
        each["lastUpdateTime"] = each.get("lastUpdateTime") or now
        since = known.get((each.get("type", ""), each.get("status")))
        each["lastTransitionTime"] = each.get("lastTransitionTime") or since or now


def _refused(obj: dict, why: str) -> errors.ApiError:
    return errors.forbidden(REQUESTS, dig(obj, "metadata.name", ""), why, GROUP)
