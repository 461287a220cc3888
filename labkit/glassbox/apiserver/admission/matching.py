"""What a write is, to those who are asked about it: whether a rule means it, and how it is told.

Shared by admission policies and webhooks.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/predicates, …/webhook/request/admissionreview.go
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import orjson

from labkit.glassbox import objects
from labkit.glassbox.apiserver.objects_at_rest import as_served, key, stored, to_stored
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.resources import REGISTRY, Resource
from labkit.glassbox.selectors import from_label_selector


@dataclass(frozen=True)
class Question:
    """What webhooks are asked about. `kind` is the object's, which for a subresource is not the resource's."""

    operation: str
    request: Request
    obj: dict | None
    old: dict | None
    name: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        """The (apiVersion, kind) of what is written."""
        shown = self.obj or self.old or {}
        return shown.get("apiVersion", ""), shown.get("kind", "")


def concerns(hook: dict, question: Question, api: Api) -> Resource | None:
    """Return in the form of which resource the webhook wants to see what is written; None if it does not."""
    if not _is_selected(hook, question, api):
        return None
    resource = question.request.resource
    forms = [resource]
    if hook.get("matchPolicy") == "Equivalent":
        forms += [each for each in REGISTRY.all() if each is not resource and stored(each) == stored(resource)]
    for form in forms:
        if any(is_ruled(rule, form, question) for rule in hook.get("rules") or []):
            return form
    return None


def is_ruled(rule: dict, form: Resource, question: Question) -> bool:
    """Tell whether a rule means that operation on that resource."""
    route = question.request.route
    namespaced = bool(route.namespace) and form.called != "namespaces"
    scope = rule.get("scope", "*")
    return (
        _is_in(question.operation, rule["operations"])
        and _is_in(form.group, rule["apiGroups"])
        and _is_in(form.version, rule["apiVersions"])
        and scope in ("*", "Namespaced" if namespaced else "Cluster")
        and any(_is_named(each, form.plural, route.subresource) for each in rule["resources"])
    )


def _is_in(value: str, given: list[str]) -> bool:
    return "*" in given or value in given


def _is_named(given: str, plural: str, subresource: str) -> bool:
    resource, _, sub = given.partition("/")
    return resource in ("*", plural) and sub in ("*", subresource)


def _is_selected(hook: dict, question: Question, api: Api) -> bool:
    of_object = from_label_selector(hook.get("objectSelector"))
    shown = [each for each in (question.obj, question.old) if each is not None]
    if not of_object.empty and not any(of_object.matches(objects.labels(each)) for each in shown):
        return False
    of_namespace = from_label_selector(hook.get("namespaceSelector"))
    if of_namespace.empty:
        return True
    labels = _namespace_labels(question, api)
    return labels is None or of_namespace.matches(labels)


def _namespace_labels(question: Question, api: Api) -> dict[str, str] | None:
    """Return the labels of the namespace that is written, or written to; None where there is none."""
    request = question.request
    if request.resource.called == "namespaces":
        return objects.labels(question.obj or question.old or {"metadata": {}})
    if not request.route.namespace:
        return None
    row = api.store.get(key(REGISTRY.find("namespaces"), "", request.route.namespace))
    return objects.labels(orjson.loads(row.value)) if row else {}


def in_form(obj: dict | None, held: Resource, form: Resource, subresource: str) -> dict | None:
    """Return an object of one resource in the form of another that shows the same ones."""
    if obj is None or form is held or subresource in ("scale", "binding", "eviction", "token"):
        return obj
    return as_served(form, to_stored(held, copy.deepcopy(obj)))


def review_of(question: Question, form: Resource, version: str, uid: str) -> dict:
    """Return the AdmissionReview to send."""
    request, held = question.request, question.request.resource
    api_version, kind = question.kind
    sub = request.route.subresource
    asked: dict[str, Any] = {
        "uid": uid,
        "kind": _kind(api_version, kind) if sub or form is held else _kind(form.api_version, form.kind),
        "resource": _resource(form),
        **({"subResource": sub} if sub else {}),
        "requestKind": _kind(api_version, kind),
        "requestResource": _resource(held),
        **({"requestSubResource": sub} if sub else {}),
        **({"name": question.name} if question.name else {}),
        **({"namespace": request.route.namespace} if request.route.namespace else {}),
        "operation": question.operation,
        "userInfo": _user(request),
        "object": _shown(question, in_form(question.obj, held, form, sub)),
        "oldObject": in_form(question.old, held, form, sub),
        "dryRun": request.dry_run,
        "options": _options(question),
    }
    return {"kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{version}", "request": asked}


def _shown(question: Question, obj: dict | None) -> dict | None:
    """Return the object as it is sent: what a connection asks for has no metadata."""
    return {k: v for k, v in obj.items() if k != "metadata"} if obj and question.operation == "CONNECT" else obj


def _kind(api_version: str, kind: str) -> dict:
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": kind}


def _resource(resource: Resource) -> dict:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def _user(request: Request) -> dict:
    user = request.user
    told = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": dict(user.extra)}
    return {field: value for field, value in told.items() if value}


def _options(question: Question) -> dict | None:
    if question.operation == "CONNECT":
        return None
    query = question.request.query
    given: dict[str, Any] = {"dryRun": [query["dryRun"]]} if "dryRun" in query else {}
    given |= {field: query[field] for field in ("fieldManager", "fieldValidation") if query.get(field)}
    return {"kind": f"{question.operation.capitalize()}Options", "apiVersion": "meta.k8s.io/v1", **given}
