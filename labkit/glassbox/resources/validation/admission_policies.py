"""What admission policies and their bindings must satisfy; each expression has to compile.

Upstream: pkg/apis/admissionregistration/validation/validation.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources import cel, cel_mutation
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.expressions import ALWAYS, conditions, expression
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    every,
    forbidden,
    invalid,
    items,
    one_of,
    required,
    unique,
    unsupported,
)
from labkit.glassbox.resources.validation.metadata import conditions as condition_list
from labkit.glassbox.resources.validation.metadata import label_selector
from labkit.glassbox.resources.validation.webhooks import OPERATIONS
from labkit.glassbox.resources.validation.webhooks import rule as resource_rule

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
MUTABLE = tuple(each for each in OPERATIONS if each != "DELETE")  # of what is deleted, there is nothing to change
PATCHES = {  # patchType → the field that has the patch, and to what its expression comes
    "ApplyConfiguration": ("applyConfiguration", cel_mutation.OBJECT),
    "JSONPatch": ("jsonPatch", cel_mutation.OPERATIONS),
}
MOST_ANNOTATIONS, LONGEST_VALUE = 20, 5 * 1024  # bytes
EXCLUSIVE = "name and selector are mutually exclusive"
ACTIONS = ("Audit", "Deny", "Warn")
SOME = "validations or auditAnnotations must contain at least one item"
TWICE = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
    "headers serves no purpose)"
)


def policy(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    given, known = seen(spec)
    yield from _frame(spec, given)
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        yield from (required(f"spec.{field}", SOME) for field in ("validations", "auditAnnotations"))
    for at, each in items(spec.get("validations"), "spec.validations"):
        yield from expression(each.get("expression", ""), f"{at}.expression", given, known)
        if (computed := each.get("messageExpression")) and not computed.strip():
            yield invalid(f"{at}.messageExpression", computed, "must be non-empty if specified")
        elif computed:
            seen_by_it = [name for name in given if name not in cel.AUTHORIZERS]
            yield from expression(computed, f"{at}.messageExpression", seen_by_it, known, "string")
        yield from _message(each.get("message", ""), f"{at}.message")
        yield from one_of(f"{at}.reason", each.get("reason"), REASONS)
    yield from _annotations(spec.get("auditAnnotations") or [], obj["metadata"].get("name", ""), given, known)


def _message(text: str, path: str) -> Iterator[Cause]:
    if text and not text.strip():
        yield invalid(path, text, "message must be non-empty if specified")
    elif "\n" in text.strip():
        yield invalid(path, text, "message must not contain line breaks")


def _annotations(annotations: list[dict], policy: str, given: dict, known: list[str]) -> Iterator[Cause]:
    """Check what a policy notes in the audit log, each under the policy's name and a key."""
    if len(annotations) > MOST_ANNOTATIONS:
        shown = [
            {"Key": each.get("key", ""), "ValueExpression": each.get("valueExpression", "")} for each in annotations
        ]
        told = f"must not have more than {MOST_ANNOTATIONS} auditAnnotations"
        yield invalid("spec.auditAnnotations", shown, told)
    keys: set[str] = set()
    for at, each in items(annotations, "spec.auditAnnotations"):
        key, value, path = each.get("key", ""), each.get("valueExpression", ""), f"{at}.valueExpression"
        yield from names.check(names.qualified_name, f"{at}.key", f"{policy}/{key}")
        if not value.strip():
            yield required(path, "valueExpression is not specified")
        elif len(value.strip().encode()) > LONGEST_VALUE:
            yield required(path, f"must not exceed {LONGEST_VALUE} bytes in length")
        else:
            yield from expression(value, path, given, known, "string")
        yield from unique(f"{at}.key", key, keys)


def mutating_policy(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from _frame(spec, seen(spec)[0], MUTABLE)
    if not spec.get("mutations"):
        yield required("spec.mutations", "mutations must contain at least one item")
    yield from every(_mutation, spec.get("mutations"), "spec.mutations", *seen(spec))
    if not spec.get("reinvocationPolicy"):
        yield required("spec.reinvocationPolicy")
    else:
        yield from one_of("spec.reinvocationPolicy", spec["reinvocationPolicy"], ("IfNeeded", "Never"))


def _mutation(mutation: dict, path: str, given: dict, known: list[str]) -> Iterator[Cause]:
    kind = mutation.get("patchType", "")
    if not kind:
        yield required(f"{path}.patchType")
    elif kind not in PATCHES:
        yield unsupported(f"{path}.patchType", kind, PATCHES)
    for each, (field, wanted) in PATCHES.items() if kind in PATCHES else ():
        if each != kind and field in mutation:
            yield invalid(f"{path}.{field}", f"{{{field}}}", f"must not be specified when patchType is {kind}")
        elif each == kind and field not in mutation:
            yield required(f"{path}.{field}", f"must be specified when patchType is {kind}")
        elif each == kind:
            text = mutation[field].get("expression", "")
            yield from expression(text, f"{path}.{field}.expression", given, known, wanted)


def seen(spec: dict) -> tuple[dict, list[str]]:
    """Return of what a policy's expressions may speak, and which variables it declares itself."""
    given: dict = dict.fromkeys(
        (*ALWAYS, *cel.AUTHORIZERS, "namespaceObject", *(("params",) if spec.get("paramKind") else ()))
    )
    return given, [each.get("name", "") for each in spec.get("variables") or ()]


def _frame(spec: dict, given: dict, operations: tuple[str, ...] = OPERATIONS) -> Iterator[Cause]:
    """Check what policies of both kinds have: when they are asked, about what, and with which variables."""
    yield from one_of("spec.failurePolicy", spec.get("failurePolicy"), ("Fail", "Ignore"))
    if spec.get("paramKind") is not None:
        yield from _param_kind(spec["paramKind"], "spec.paramKind")
    if spec.get("matchConstraints") is None:
        yield required("spec.matchConstraints")
    else:
        yield from _match(spec["matchConstraints"], "spec.matchConstraints", operations, needs_rules=True)
    yield from conditions(spec.get("matchConditions"), given, "spec.matchConditions")
    known: list[str] = []
    for at, each in items(spec.get("variables"), "spec.variables"):
        yield from _variable(each, at, given, known)
        known.append(each.get("name", ""))


def _param_kind(given: dict, path: str) -> Iterator[Cause]:
    version, kind = given.get("apiVersion", ""), given.get("kind", "")
    group, _, name = version.rpartition("/")
    at = f"{path}.apiVersion"
    if not version:
        yield required(at)
    elif version.count("/") > 1:
        yield invalid(at, version, f"unexpected GroupVersion string: {version}")
    else:
        if group and (told := names.dns_subdomain(group)):
            yield invalid(at, group, ",".join(told))
        if not name:
            yield invalid(at, version, "version must be specified")
        elif told := names.dns_1035_label(name):
            yield invalid(at, name, ",".join(told))
    if not kind:
        yield required(f"{path}.kind")
    elif told := names.dns_1035_label(kind.lower()):
        yield invalid(f"{path}.kind", kind, f"may have mixed case, but should otherwise match: {','.join(told)}")


def status(given: dict) -> Iterator[Cause]:
    """Check what was found about a policy."""
    warned = dig(given, "typeChecking.expressionWarnings")
    for at, each in items(warned, "status.typeChecking.expressionWarnings"):
        for field in ("warning", "fieldRef"):
            if not each.get(field, "").strip():
                yield required(f"{at}.{field}")
    yield from condition_list(given.get("conditions"), "status.conditions")


def binding(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from mutating_binding(obj, OPERATIONS)
    actions = spec.get("validationActions") or []
    for index, (at, each) in enumerate(items(actions, "spec.validationActions")):
        if each not in ACTIONS:
            yield unsupported(at, each, ACTIONS)
        if each in actions[:index]:
            yield duplicate(at, each)
    if {"Deny", "Warn"} <= set(actions):
        yield invalid("spec.validationActions", actions, TWICE)
    if not actions:
        yield required("spec.validationActions", "at least one validation action is required")


def mutating_binding(obj: dict, operations: tuple[str, ...] = MUTABLE) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from names.needed(names.dns_subdomain, "spec.policyName", spec.get("policyName"))
    if (reference := spec.get("paramRef")) is not None:
        yield from _param_ref(reference, "spec.paramRef")
    if spec.get("matchResources") is not None:
        yield from _match(spec["matchResources"], "spec.matchResources", operations)


def _param_ref(reference: dict, path: str) -> Iterator[Cause]:
    name, selector = reference.get("name", ""), reference.get("selector")
    yield from names.check(names.path_segment, f"{path}.name", name)
    if name and selector is not None:
        yield forbidden(f"{path}.name", EXCLUSIVE)
    yield from label_selector(selector or {}, f"{path}.selector")
    if name and selector is not None:
        yield forbidden(f"{path}.selector", EXCLUSIVE)
    if not name and selector is None:
        yield required(path, "one of name or selector must be specified")
    if not (action := reference.get("parameterNotFoundAction")):
        yield required(f"{path}.parameterNotFoundAction")
    else:
        yield from one_of(f"{path}.parameterNotFoundAction", action, ("Deny", "Allow"))


def _match(match: dict, path: str, operations: tuple[str, ...], needs_rules: bool = False) -> Iterator[Cause]:
    yield from one_of(f"{path}.matchPolicy", match.get("matchPolicy"), ("Equivalent", "Exact"))
    for selector in ("namespaceSelector", "objectSelector"):
        yield from label_selector(match.get(selector) or {}, f"{path}.{selector}")
    for field in ("resourceRules", "excludeResourceRules"):
        yield from every(_named_rule, match.get(field), f"{path}.{field}")
    if needs_rules and not match.get("resourceRules"):
        yield required(f"{path}.resourceRules")
    for each in [each for rule in match.get("resourceRules") or () for each in rule.get("operations") or ()]:
        if each in OPERATIONS and each not in operations:
            yield unsupported(f"{path}.resourceRules.operations", each, operations)


def _named_rule(given: dict, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, name in items(given.get("resourceNames"), f"{path}.resourceNames"):
        yield from names.check(names.path_segment, at, name)
        yield from unique(at, name, seen)
    yield from resource_rule(given, path)


def _variable(given: dict, at: str, variables: dict, known: list[str]) -> Iterator[Cause]:
    name = given.get("name", "")
    if not name:
        yield required(f"{at}.name", "name is not specified")
    elif not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or name in cel.RESERVED:
        yield invalid(f"{at}.name", name, "name is not a valid CEL identifier")
    yield from expression(given.get("expression", ""), f"{at}.expression", variables, known, "")
