"""May this user do that, may I, and what may I: the authorizer, asked by a client.

kubectl's `auth can-i` asks; so do components that let others in (a kubelet, an aggregated server).

Upstream: pkg/registry/authorization/{subjectaccessreview,selfsubjectaccessreview,localsubjectaccessreview,
selfsubjectrulesreview}/rest.go, pkg/apis/authorization/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labkit.glassbox import errors
from labkit.glassbox.apiserver.auth import User
from labkit.glassbox.apiserver.authorization import Attributes
from labkit.glassbox.apiserver.authorization.attributes import demanded
from labkit.glassbox.apiserver.authorization.node import node_name
from labkit.glassbox.apiserver.decoding import decode
from labkit.glassbox.apiserver.managed import track
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation.fields import invalid, items, required
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.metadata import requirement

RESOURCE, URL = "resourceAttributes", "nonResourceAttributes"
NOT_LISTED = "node authorizer does not support user rule resolution"
RULE_FIELDS = ("verbs", "apiGroups", "resources", "resourceNames")


def self_subject_access_review(request: Request, api: Api) -> Answer:
    """Tell whether the client may do what it asks about. Raises ApiError 400, 422."""
    review = _read(request, api)
    return _decided(request, review, request.user, api)


def subject_access_review(request: Request, api: Api) -> Answer:
    """Tell whether another may, also within one namespace. Raises ApiError 400, 422."""
    review = _read(request, api)
    spec = review["spec"]
    user = User(spec.get("user", ""), spec.get("uid", ""), tuple(spec.get("groups") or ()), spec.get("extra") or {})
    return _decided(request, review, user, api)


def self_subject_rules_review(request: Request, api: Api) -> Answer:
    """List what the client may do in a namespace. Raises ApiError 400."""
    namespace = (decode(request, request.resource).get("spec") or {}).get("namespace", "")
    if not namespace:
        raise errors.bad_request("no namespace on request")
    rules = [grant.rule for grant in api.authorizer.roles.grants(request.user, namespace).rules]
    status: dict = {
        "resourceRules": [_shown(rule, RULE_FIELDS) for rule in rules if rule.get("resources")],
        "nonResourceRules": [
            _shown(rule, ("verbs", "nonResourceURLs")) for rule in rules if rule.get("nonResourceURLs")
        ],
        "incomplete": bool(node_name(request.user)),
    }
    if status["incomplete"]:
        status["evaluationError"] = NOT_LISTED
    return _answer(request, {"metadata": {}, "spec": {}, "status": status})


def _shown(rule: dict, fields: tuple[str, ...]) -> dict:
    return {field: rule[field] for field in fields if rule.get(field)}


def _read(request: Request, api: Api) -> dict:
    """Return the question. Raises ApiError 400, 422."""
    review = decode(request, request.resource)
    review["spec"] = review.get("spec") or {}
    if request.route.namespace:
        review["metadata"].setdefault("namespace", request.route.namespace)
    if entries := track(request, api, review, None):
        review["metadata"]["managedFields"] = entries
    if causes := list(_faults(review, request)):
        raise errors.invalid("", request.resource.group, "", causes)
    return review


def _faults(review: dict, request: Request) -> Iterator[Cause]:
    spec, local = review["spec"], bool(request.route.namespace)
    asked, url = spec.get(RESOURCE), spec.get(URL)
    if url is not None and (asked is not None or local):
        told = "disallowed on this kind of request" if local else f"cannot be specified in combination with {RESOURCE}"
        yield invalid(f"spec.{URL}", struct("NonResourceAttributes", url), told)
    elif asked is None and url is None:
        yield invalid(f"spec.{RESOURCE}", None, f"exactly one of {URL} or {RESOURCE} must be specified")
    for field in ("fieldSelector", "labelSelector"):
        if (selector := (asked or {}).get(field)) is not None:
            yield from _selector_faults(selector, f"spec.{RESOURCE}.{field}", field == "labelSelector")
    if not request.route.plural.startswith("self") and not spec.get("user") and not spec.get("groups"):
        yield invalid("spec.user", "", "at least one of user or group must be specified")
    namespace = request.route.namespace
    if local and asked is not None and asked.get("namespace", "") != namespace:
        yield invalid(f"spec.{RESOURCE}.namespace", asked.get("namespace", ""), "must match metadata.namespace")
    said = {name: value for name, value in review["metadata"].items() if name != "managedFields"}
    if said != ({"namespace": namespace} if local else {}):
        yield invalid("metadata", review["metadata"], "must be empty")


def _selector_faults(selector: dict, path: str, of_labels: bool) -> Iterator[Cause]:
    """Check a selector; operators that are not known here may be known to who asks."""
    raw, terms = selector.get("rawSelector"), selector.get("requirements") or []
    if raw and terms:
        yield invalid(f"{path}.rawSelector", raw, "may not specified at the same time as requirements")
    elif not raw and not terms:
        told = f"when {path} is specified, requirements or rawSelector is required"
        yield required(f"{path}.requirements", told)
    for at, term in items(terms, f"{path}.requirements"):
        if not of_labels and not term.get("key"):
            yield required(f"{at}.key", "must be specified")
        found = requirement(term, at)
        unknown = (f"{at}.operator", *(() if of_labels else (f"{at}.key", f"{at}.values[")))
        yield from (each for each in found if not each.field.startswith(unknown))


def _decided(request: Request, review: dict, user: User, api: Api) -> Answer:
    decision = api.authorizer.decide(user, attributes_of(review["spec"]))
    status = {"allowed": decision.allowed, **({"reason": decision.reason} if decision.reason else {})}
    return _answer(request, {"metadata": review["metadata"], "spec": review["spec"], "status": status})


def attributes_of(spec: dict) -> Attributes:
    """Return what a review asks about."""
    if (url := spec.get(URL)) is not None:
        return Attributes(url.get("verb", ""), path=url.get("path", ""))
    asked = spec[RESOURCE]
    named = {field: asked.get(field, "") for field in ("verb", "group", "resource", "subresource", "namespace", "name")}
    return Attributes(**named, fields=_fields(asked.get("fieldSelector") or {}))


def _fields(selector: dict) -> tuple[tuple[str, str], ...]:
    listed = [each for each in selector.get("requirements") or () if each.get("operator") == "In"]
    single = [(each.get("key", ""), each["values"][0]) for each in listed if len(each.get("values") or ()) == 1]
    return tuple(single) or demanded(selector.get("rawSelector") or "")


def _answer(request: Request, obj: dict) -> Answer:
    resource = request.resource
    return Answer(201, obj={"kind": resource.kind, "apiVersion": resource.api_version, **obj})


HANDLERS: dict[str, Callable[[Request, Api], Answer]] = {
    "selfsubjectaccessreviews": self_subject_access_review,
    "selfsubjectrulesreviews": self_subject_rules_review,
    "subjectaccessreviews": subject_access_review,
    "localsubjectaccessreviews": subject_access_review,
}
