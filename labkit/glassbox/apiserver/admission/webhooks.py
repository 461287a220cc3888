"""Who may change or refuse a write: policies, then webhooks; and where a handler stops until those have been asked.

A handler never waits (it runs from its read to its append without yielding), so it cannot call anybody. Where a webhook
has to be asked, `review` raises Unanswered; the server asks (webhook_calls.py), notes what was said, and handles the
request anew. What was said counts for what it was said about: if the stored object has changed meanwhile, it is asked
again.

Left out: the server's own writes are not reviewed; a Service's number that
is drawn by lot may be another one than a validating webhook was shown.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/{generic,predicates}
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from labkit.glassbox.apiserver.admission import mutations, policies
from labkit.glassbox.apiserver.admission.matching import Question, concerns
from labkit.glassbox.apiserver.auth import ITSELF
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.resources import SUBRESOURCES, Resource
from labkit.glassbox.resources.webhook_configuration import GROUP, MUTATING, VALIDATING

CONNECTIONS = ("attach", "exec", "portforward", "proxy")


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
    """Let policies, then webhooks change an object; tell whether any may have. Raises ApiError, Unanswered."""
    question = _question(request, operation, obj, old)
    is_meant = request.reviewed and not _is_exempt(request.resource)
    done = mutations.apply(question, api) if is_meant else mutations.NOTHING
    said = _said(MUTATING, request, operation, obj, old, api)
    if said and obj is not None and said.obj is not None:
        obj.clear()
        obj.update(copy.deepcopy(said.obj))
    if (said or done.is_changed) and done.again:
        mutations.apply(question, api, done.again)
    return said is not None or done.is_changed


def validate(request: Request, operation: str, obj: dict | None, old: dict | None, api: Api) -> None:
    """Let policies, then webhooks refuse. Raises ApiError, Unanswered; a webhook's refusal comes from whoever asks."""
    if not _is_exempt(request.resource):
        policies.check(_question(request, operation, obj, old), api)
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
    question = _question(request, operation, obj, old)
    name = question.name
    meant = [(hook, form) for hook in hooks if (form := concerns(hook, question, api))]
    asked = [(hook, form) for hook, form in meant if policies.is_wanted(hook, question, form, api)]
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


def _question(request: Request, operation: str, obj: dict | None, old: dict | None) -> Question:
    shown = obj or old or {"metadata": {}}
    return Question(operation, request, obj, old, request.route.name or shown["metadata"].get("name", ""))


def _is_exempt(resource: Resource) -> bool:
    """Tell whether a kind is one of those by which reviews are configured, which nobody reviews."""
    return resource.group == GROUP
