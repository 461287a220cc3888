"""Who holds this token, who am I, and a token for a service account: answers that are computed, not stored.

Upstream: pkg/registry/authentication/{tokenreview,selfsubjectreview}, pkg/registry/core/serviceaccount/storage/token.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson

from labkit.glassbox import clock, errors, objects, tokens
from labkit.glassbox.apiserver.admission import webhooks
from labkit.glassbox.apiserver.admission.node_restriction import restrict_token
from labkit.glassbox.apiserver.auth import User
from labkit.glassbox.apiserver.decoding import decode
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.errors import ApiError, Cause
from labkit.glassbox.resources import REGISTRY, Resource, Strategy
from labkit.glassbox.resources.validation.fields import invalid
from labkit.glassbox.tokens import BadToken

TOKEN_REQUEST = Resource(
    group="authentication.k8s.io",
    version="v1",
    kind="TokenRequest",
    plural="tokenrequests",
    singular="tokenrequest",
    namespaced=True,
    definition="io.k8s.api.authentication.v1.TokenRequest",
    strategy=Strategy(),
)
HOUR, SHORTEST = 3600, 600  # seconds
BINDABLE = {("v1", "Pod"): "pods", ("v1", "Secret"): "secrets", ("v1", "Node"): "nodes"}


def token_review(request: Request, api: Api) -> Answer:
    """Tell whose token it is, if anybody's. Raises ApiError 400."""
    review = decode(request, request.resource)
    spec = review.get("spec") or {}
    if not spec.get("token"):
        raise errors.bad_request("token is required for TokenReview in authentication")
    try:
        found = api.tokens.verify(spec["token"], spec.get("audiences") or [tokens.ISSUER])
        status = {"authenticated": True, "user": user_info(found.user), "audiences": list(found.audiences)}
    except BadToken as error:
        told = f"[invalid bearer token, {error}]" if str(error) else "invalid bearer token"
        status = {"user": {}, "error": told}
    return _answer(request.resource, {"metadata": {}, "spec": spec, "status": status})


def self_subject_review(request: Request, api: Api) -> Answer:
    """Tell the client as whom it is known."""
    decode(request, request.resource)
    meta = {"creationTimestamp": clock.rfc3339(api.clock.now())}
    return _answer(request.resource, {"metadata": meta, "status": {"userInfo": user_info(request.user)}})


def user_info(user: User) -> dict:
    told = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": user.extra}
    return {field: value for field, value in told.items() if value}


def token_request(request: Request, api: Api) -> Answer:
    """Issue a token for a service account. Raises ApiError 400, 404, 409, 422."""
    wanted, route = decode(request, TOKEN_REQUEST), request.route
    spec = wanted.get("spec") or {}
    if causes := list(_faults(wanted, request)):
        raise errors.invalid("TokenRequest", "authentication.k8s.io", "", causes)
    restrict_token(request, spec, api)
    webhooks.review(request, "CREATE", wanted, None, api)
    account = orjson.loads(read(api.store, request.resource, route.namespace, route.name).value)
    seconds, audiences = spec.get("expirationSeconds", HOUR), spec.get("audiences") or [tokens.ISSUER]
    bound = _bound_to(spec.get("boundObjectRef"), account, api)
    now = api.clock.now()
    token = api.tokens.signing_key.sign(tokens.claims_of(account, bound, audiences, now, seconds))
    meta = {field: account["metadata"][field] for field in ("name", "namespace", "uid")}
    answer = {
        "metadata": {**meta, "creationTimestamp": clock.rfc3339(now)},
        "spec": {
            "audiences": audiences,
            "expirationSeconds": seconds,
            "boundObjectRef": spec.get("boundObjectRef"),
        },
        "status": {"token": token, "expirationTimestamp": clock.rfc3339(int(now) + seconds)},
    }
    return _answer(TOKEN_REQUEST, answer)


def _faults(wanted: dict, request: Request) -> Iterator[Cause]:
    for field, what in (("name", request.route.name), ("namespace", request.route.namespace)):
        given = wanted["metadata"].get(field)
        if given and given != what:
            yield invalid(f"metadata.{field}", given, f"must match the service account {field} if specified")
    seconds = (wanted.get("spec") or {}).get("expirationSeconds", HOUR)
    if seconds < SHORTEST:
        yield invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > 1 << 32:
        yield invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")


def _bound_to(reference: dict | None, account: dict, api: Api) -> dict[str, dict]:
    """Return kind → object for what the token is to end with. Raises ApiError 400, 404, 409."""
    if not reference:
        return {}
    version, kind = reference.get("apiVersion", ""), reference.get("kind", "")
    plural, name = BINDABLE.get((version, kind)), reference.get("name", "")
    if plural is None:
        shown = version if "/" in version else f"/{version}"
        raise errors.bad_request(f"cannot bind token to object of type {shown}, Kind={kind}")
    resource = REGISTRY.find(plural)
    obj = orjson.loads(read(api.store, resource, objects.namespace(account) if resource.namespaced else "", name).value)
    if kind == "Pod" and obj["spec"].get("serviceAccountName") != objects.name(account):
        told = f'cannot bind token for serviceaccount "{objects.name(account)}"'
        raise errors.bad_request(f"{told} to pod running with different serviceaccount name.")
    if reference.get("uid") not in (None, "", objects.uid(obj)):
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
        raise errors.conflict(kind, name, f"{why}The object might have been deleted and then recreated")
    bound = {kind.lower(): obj}
    if kind == "Pod" and (node := _node_of(obj, api)):
        bound["node"] = node
    return bound


def _node_of(pod: dict, api: Api) -> dict | None:
    try:
        return orjson.loads(read(api.store, REGISTRY.find("nodes"), "", pod["spec"].get("nodeName", "")).value)
    except ApiError:
        return None  # not scheduled yet, or its node is gone


def _answer(resource: Resource, obj: dict) -> Answer:
    return Answer(201, obj={"kind": resource.kind, "apiVersion": resource.api_version, **obj})


HANDLERS: dict[str, Callable[[Request, Api], Answer]] = {
    "tokenreviews": token_review,
    "selfsubjectreviews": self_subject_review,
}
