"""Webhooks, first half: which of them a write concerns, and where a handler stops until they have been asked.

A handler never waits (it runs from its read to its append without yielding), so it cannot call anybody. Where a webhook
has to be asked, `review` raises Unanswered; the server asks (webhook_calls.py), notes what was said, and handles the
request anew. What was said counts for what it was said about: if the stored object has changed meanwhile, it is asked
again.

Left out: matchConditions (validation refuses them); the server's own writes are not reviewed; a Service's number that
is drawn by lot may be another one than a validating webhook was shown.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/{generic,predicates}
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import orjson

from labkit.glassbox import objects
from labkit.glassbox.apiserver.auth import ITSELF
from labkit.glassbox.apiserver.objects_at_rest import as_served, key, stored, to_stored
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.resources import REGISTRY, SUBRESOURCES, Resource
from labkit.glassbox.resources.webhook_configuration import GROUP, MUTATING, VALIDATING
from labkit.glassbox.selectors import from_label_selector

CONNECTIONS = ("attach", "exec", "portforward", "proxy")
POLICIES = "validatingadmissionpolic"  # what these plurals begin with, of the policies and their bindings


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


class Unanswered(Exception):
    """A handler cannot go on before `hooks` have been asked `question`; what they say belongs under `key`."""

    def __init__(self, key: tuple, hooks: list[tuple[dict, Resource]], question: Question, mutating: bool):
        self.key, self.hooks, self.question, self.mutating = key, hooks, question, mutating


@dataclass(frozen=True)
class Said:
    """What came of asking: the object as it is then, and warnings for the client."""

    obj: dict | None
    warnings: tuple[str, ...]


def mutate(request: Request, operation: str, obj: dict | None, old: dict | None, api: Api) -> bool:
    """Let webhooks change an object; tell whether any was asked. Raises Unanswered."""
    said = _said(MUTATING, request, operation, obj, old, api)
    if said and obj is not None and said.obj is not None:
        obj.clear()
        obj.update(copy.deepcopy(said.obj))
    return said is not None


def validate(request: Request, operation: str, obj: dict | None, old: dict | None, api: Api) -> None:
    """Let webhooks refuse. Raises Unanswered; the refusal itself comes from whoever asks."""
    _said(VALIDATING, request, operation, obj, old, api)


def review(request: Request, operation: str, obj: dict | None, old: dict | None, api: Api) -> None:
    """Do both, where nothing lies between the two."""
    mutate(request, operation, obj, old, api)
    validate(request, operation, obj, old, api)


def connect(request: Request, api: Api) -> Answer:
    """Ask about an exec, an attach, a port-forward or a proxy: its object is what was asked for in the query."""
    sub, query = request.route.subresource, request.query
    options: dict[str, Any] = {"kind": SUBRESOURCES[sub].kind_below(request.resource.kind), "apiVersion": "v1"}
    options |= {
        field: query[field] in ("1", "true") for field in ("stdin", "stdout", "stderr", "tty") if field in query
    }
    options |= {field: query[field] for field in ("container", "path") if field in query}
    if commands := [value for name, value in query.items() if name == "command"]:
        options["command"] = commands
    review(request, "CONNECT", {**options, "metadata": {}}, None, api)
    return Answer()


def _said(
    configured: Resource, request: Request, operation: str, obj: dict | None, old: dict | None, api: Api
) -> Said | None:
    hooks = api.hooks.of(configured)
    if not hooks or request.user is ITSELF or not request.reviewed or _is_exempt(request.resource):
        return None
    shown = old or obj or {"metadata": {}}
    name = request.route.name or shown["metadata"].get("name", "")
    question = Question(operation, request, obj, old, name)
    asked = [(hook, form) for hook in hooks if (form := concerns(hook, question, api))]
    if not asked:
        return None
    revision = (old or {}).get("metadata", {}).get("resourceVersion", "")
    at = (configured.plural, operation, request.resource.plural, name, revision)
    if at not in request.said:
        frozen = Question(operation, request, copy.deepcopy(obj), copy.deepcopy(old), name)
        raise Unanswered(at, asked, frozen, configured is MUTATING)
    said: Said = request.said[at]
    request.warnings.extend(said.warnings)
    return said


def _is_exempt(resource: Resource) -> bool:
    own = resource.plural in (MUTATING.plural, VALIDATING.plural) or resource.plural.startswith(POLICIES)
    return own and resource.group == GROUP


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
    namespaced = bool(route.namespace) and form.plural != "namespaces"
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
    if request.resource.plural == "namespaces":
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
