"""ValidatingAdmissionPolicies: what a write has to satisfy, said in CEL and put in force by bindings.

An object is seen as it is about to be stored, by one policy after the other. Nothing is evaluated, nor CEL loaded,
before there is a binding.

Left out: audit annotations and the action Audit, which leave no trace, as there is no audit log; types that do not
match the policy's kinds.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from labkit.glassbox import errors, objects
from labkit.glassbox.apiserver.admission import authorizer
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
    for policy, binding, form in in_force(BINDINGS, POLICIES, question, api):
        for found in violations(policy["spec"], binding["spec"], question, form, api):
            _act(found, objects.name(policy), binding, question)


def in_force(
    bindings: Resource, policies: Resource, question: Question, api: Api
) -> Iterator[tuple[dict, dict, Resource]]:
    """Yield each policy that means a write, by name, with its binding and the form in which it wants to see it."""
    rows, _ = api.store.rows(prefix(bindings))
    for binding in sorted((orjson.loads(row.value) for row in rows), key=lambda each: each["spec"]["policyName"]):
        held = api.store.get(key(policies, "", binding["spec"]["policyName"]))
        if held is None:
            continue
        policy, narrowed = orjson.loads(held.value), binding["spec"].get("matchResources")
        form = _form(policy["spec"]["matchConstraints"], question, api)
        if form is not None and (not narrowed or _form(narrowed, question, api)):
            yield policy, binding, form


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


def violations(policy: dict, binding: dict, question: Question, form: Resource, api: Api) -> Iterator[Violation]:
    """Yield what one policy, as it is bound, has against a write."""
    is_strict = policy.get("failurePolicy", "Fail") == "Fail"
    try:
        for values in asked(policy, binding, question, form, api):
            yield from _broken(policy, values, is_strict)
    except cel.Failed as failure:
        if is_strict:
            yield Violation(str(failure), is_misconfigured=True)


def asked(policy: dict, binding: dict, question: Question, form: Resource, api: Api) -> list[dict[str, Any]]:
    """Return what a policy's expressions see: once for each of its parameters. Raises cel.Failed."""
    found = _params(policy.get("paramKind"), binding.get("paramRef"), question, api)
    values = _values(question, form, api)
    return [values | ({"params": params} if policy.get("paramKind") else {}) for params in found]


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
        **authorizer.variables(question, api),
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
                yield Violation(failed(each, failure))


def failed(asked: dict, failure: cel.Failed) -> str:
    return f"expression '{asked['expression']}' resulted in error: {failure}"


def holds(conditions: list[dict] | None, values: dict[str, Any]) -> bool:
    """Tell whether all conditions hold: one that does not outweighs one that fails. Raises cel.Failed."""
    told = ""
    for each in conditions or ():
        try:
            if not evaluate(each["expression"], values, {}):
                return False
        except cel.Failed as failure:
            told = told or failed(each, failure)
    if told:
        raise cel.Failed(told)
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


def evaluate(
    expression: str, values: dict[str, Any], declared: dict[str, str], run: Callable[..., Any] = cel.evaluate
) -> Any:
    """Return what an expression comes to, with the variables that it speaks of. Raises cel.Failed.

    A variable that is an optional is written out in it: no value from elsewhere can be one. One that fails stands in it
    as what fails, so that it does no harm where it is not needed.
    """
    used = {}
    for name in _used(expression, declared):
        try:
            used[name] = cel.again(evaluate(declared[name], values, declared))
            continue
        except cel.IsOptional:
            instead = f"({declared[name]})"
        except cel.Failed as failure:
            instead = cel.failing(f'composited variable "{name}" fails to evaluate: {failure}')
        return evaluate(instead.join(re.split(rf"\bvariables\.{name}\b", expression)), values, declared, run)
    return run(expression, {**values, "variables": used} if used else values)


def _used(expression: str, declared: dict[str, str]) -> list[str]:
    return [name for name in dict.fromkeys(VARIABLE.findall(expression)) if name in declared]
