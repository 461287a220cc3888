"""ValidatingAdmissionPolicies: what a write has to satisfy, said in CEL and put in force by bindings.

An object is seen as it is about to be stored, by one policy after the other. Nothing is evaluated, nor CEL loaded,
before there is a binding.

Left out: audit annotations and the action Audit, which leave no trace, as there is no audit log; `authorizer`; types
that do not match the policy's kinds.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from labkit.glassbox import errors, objects
from labkit.glassbox.apiserver.admission.matching import Question, concerns, in_form, is_ruled, review_of
from labkit.glassbox.apiserver.objects_at_rest import as_served, key, prefix
from labkit.glassbox.apiserver.request import Api
from labkit.glassbox.resources import REGISTRY, Resource, cel
from labkit.glassbox.resources.admission_policy import BINDINGS, POLICIES
from labkit.glassbox.selectors import from_label_selector

CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
VARIABLE = re.compile(r"\bvariables\.([A-Za-z_]\w*)")
NO_PARAMS = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
NO_NAMESPACE = (
    "failed to configure binding: cannot use namespaced paramRef in policy binding that matches cluster-scoped "
    "resources"
)


@dataclass(frozen=True)
class Violation:
    """What a policy has against a write."""

    message: str
    reason: str = "Invalid"
    is_misconfigured: bool = False  # refused whatever the binding's actions are


def check(question: Question, api: Api) -> None:
    """Refuse, or warn of, what the policies in force are against. Raises ApiError."""
    rows, _ = api.store.rows(prefix(BINDINGS))
    for row in rows:
        binding = orjson.loads(row.value)
        held = api.store.get(key(POLICIES, "", binding["spec"]["policyName"]))
        if held is not None:
            policy = orjson.loads(held.value)
            for found in violations(policy["spec"], binding["spec"], question, api):
                _act(found, objects.name(policy), binding, question)


def _act(found: Violation, policy: str, binding: dict, question: Question) -> None:
    name, actions = objects.name(binding), binding["spec"]["validationActions"]
    if "Warn" in actions and not found.is_misconfigured:
        told = f"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{name}': {found.message}"
        question.request.warnings.append(told)
    if "Deny" in actions or found.is_misconfigured:
        told = f"ValidatingAdmissionPolicy '{policy}' with binding '{name}' denied request: {found.message}"
        resource = question.request.resource
        error = errors.forbidden(resource.plural, question.name, told, resource.group)
        error.code, error.reason = CODES[found.reason], found.reason
        error.details = {**(error.details or {}), "causes": [{"message": told}]}
        raise error


def violations(policy: dict, binding: dict, question: Question, api: Api) -> Iterator[Violation]:
    """Yield what one policy, as it is bound, has against a write."""
    form = _form(policy["matchConstraints"], question, api)
    if form is None or (binding.get("matchResources") and not _form(binding["matchResources"], question, api)):
        return
    values = _values(question, form, api)
    is_strict = policy.get("failurePolicy", "Fail") == "Fail"
    try:
        found = _params(policy.get("paramKind"), binding.get("paramRef"), question, api)
    except cel.Failed as failure:
        if is_strict:
            yield Violation(str(failure), is_misconfigured=True)
        return
    for params in found:
        yield from _broken(policy, values | ({"params": params} if policy.get("paramKind") else {}), is_strict)


def _form(match: dict, question: Question, api: Api) -> Resource | None:
    """Return in the form of which resource the constraints mean what is written; None if they do not."""
    rules = [each for each in match.get("resourceRules") or () if _is_named(each, question)]
    if "resourceRules" in match and not rules:
        return None
    anything = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*", "*/*"]}
    form = concerns({**match, "rules": rules or [anything]}, question, api)
    excluded = [each for each in match.get("excludeResourceRules") or () if _is_named(each, question)]
    return None if form is None or any(is_ruled(each, form, question) for each in excluded) else form


def _is_named(rule: dict, question: Question) -> bool:
    return not rule.get("resourceNames") or question.name in rule["resourceNames"]


def _values(question: Question, form: Resource, api: Api) -> dict[str, Any]:
    request, sub = question.request, question.request.route.subresource
    asked = review_of(question, form, "v1", "")["request"]
    namespace = request.route.namespace
    row = api.store.get(key(REGISTRY.find("namespaces"), "", namespace)) if namespace else None
    seen = {"object": question.obj, "oldObject": question.old}
    return {
        **{name: plain(in_form(obj, request.resource, form, sub)) for name, obj in seen.items()},
        "request": {name: value for name, value in asked.items() if name not in ("uid", "object", "oldObject")},
        "namespaceObject": orjson.loads(row.value) if row else None,
    }


def plain(obj: dict | None) -> dict | None:
    """Return an object without the marks that its reader left on it: the library takes nothing but plain dicts."""
    return orjson.loads(orjson.dumps(obj))


def _params(kind: dict | None, reference: dict | None, question: Question, api: Api) -> list[dict | None]:
    """Return the objects that a policy is asked with, one after the other. Raises cel.Failed."""
    if not kind or not reference:
        return [None]
    resource = REGISTRY.for_kind(kind["apiVersion"], kind["kind"])
    if resource is None:
        raise cel.Failed(f"failed to configure policy: failed to find resource referenced by paramKind: '{kind}'")
    namespace = (reference.get("namespace") or question.request.route.namespace) if resource.namespaced else ""
    if resource.namespaced and not namespace:
        raise cel.Failed(NO_NAMESPACE)
    if reference.get("name"):
        row = api.store.get(key(resource, namespace, reference["name"]))
        found = [row] if row else []
    else:
        found = api.store.rows(prefix(resource, namespace))[0]
    selector = from_label_selector(reference.get("selector") or {})
    shown = [as_served(resource, orjson.loads(row.value)) for row in found]
    params: list[dict | None] = [each for each in shown if selector.matches(objects.labels(each))]
    if not params and reference.get("parameterNotFoundAction") == "Deny":
        raise cel.Failed(NO_PARAMS)
    return params


def _broken(policy: dict, values: dict[str, Any], is_strict: bool) -> Iterator[Violation]:
    declared = {each["name"]: each["expression"] for each in policy.get("variables") or ()}
    try:
        if not holds(policy.get("matchConditions"), values):
            return
    except cel.Failed as failure:
        if is_strict:
            yield Violation(str(failure), is_misconfigured=True)
        return
    for each in policy.get("validations") or ():
        try:
            if not evaluate(each["expression"], values, declared):
                yield Violation(_message(each, values, declared), each.get("reason") or "Invalid")
        except cel.Failed as failure:
            if is_strict:
                yield Violation(_failure(each, failure))


def _failure(asked: dict, failure: cel.Failed) -> str:
    return f"expression '{asked['expression']}' resulted in error: {failure}"


def holds(conditions: list[dict] | None, values: dict[str, Any]) -> bool:
    """Tell whether all conditions hold: one that does not outweighs one that fails. Raises cel.Failed."""
    failed = ""
    for each in conditions or ():
        try:
            if not evaluate(each["expression"], values, {}):
                return False
        except cel.Failed as failure:
            failed = failed or _failure(each, failure)
    if failed:
        raise cel.Failed(failed)
    return True


def is_wanted(hook: dict, question: Question, form: Resource, api: Api) -> bool:
    """Tell whether a webhook's conditions let it be asked. Raises ApiError 403 if that cannot be told."""
    if not hook.get("matchConditions"):
        return True
    try:
        return holds(hook["matchConditions"], _values(question, form, api))
    except cel.Failed as failure:
        if hook.get("failurePolicy", "Fail") == "Ignore":
            return False
        resource = question.request.resource
        raise errors.forbidden(resource.plural, question.name, str(failure), resource.group) from None


def _message(validation: dict, values: dict[str, Any], declared: dict[str, str]) -> str:
    if validation.get("messageExpression"):
        try:
            told = evaluate(validation["messageExpression"], values, declared)
            if isinstance(told, str) and told.strip() and "\n" not in told:
                return told.strip()
        except cel.Failed:
            pass  # as upstream: then the message, or the expression
    return validation.get("message", "").strip() or f"failed expression: {validation['expression'].strip()}"


def evaluate(expression: str, values: dict[str, Any], declared: dict[str, str]) -> Any:
    """Return what an expression comes to, with the variables that it speaks of. Raises cel.Failed."""
    used = {name: cel.again(evaluate(declared[name], values, declared)) for name in _used(expression, declared)}
    return cel.evaluate(expression, {**values, "variables": used} if used else values)


def _used(expression: str, declared: dict[str, str]) -> list[str]:
    return [name for name in dict.fromkeys(VARIABLE.findall(expression)) if name in declared]
