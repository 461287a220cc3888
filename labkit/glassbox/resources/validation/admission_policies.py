"""What admission policies and their bindings must satisfy; each expression has to compile.

Upstream: pkg/apis/admissionregistration/validation/validation.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import cel, cel_mutation
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.expressions import ALWAYS, AUTHORIZERS, conditions, expression
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    every,
    forbidden,
    invalid,
    items,
    one_of,
    required,
    unsupported,
)
from labkit.glassbox.resources.validation.metadata import label_selector
from labkit.glassbox.resources.validation.webhooks import OPERATIONS
from labkit.glassbox.resources.validation.webhooks import rule as resource_rule

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
MUTABLE = tuple(each for each in OPERATIONS if each != "DELETE")  # of what is deleted, there is nothing to change
PATCHES = {  # patchType → the field that has the patch, and to what its expression comes
    "ApplyConfiguration": ("applyConfiguration", cel_mutation.OBJECT),
    "JSONPatch": ("jsonPatch", cel_mutation.OPERATIONS),
}
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
        if each.get("messageExpression"):
            seen_by_it = [name for name in given if name not in AUTHORIZERS]
            yield from expression(each["messageExpression"], f"{at}.messageExpression", seen_by_it, known, "string")
        yield from one_of(f"{at}.reason", each.get("reason"), REASONS)
    for at, each in items(spec.get("auditAnnotations"), "spec.auditAnnotations"):
        yield from names.needed(names.qualified_name, f"{at}.key", each.get("key", ""))
        yield from expression(each.get("valueExpression", ""), f"{at}.valueExpression", given, known, "string")


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
        (*ALWAYS, *AUTHORIZERS, "namespaceObject", *(("params",) if spec.get("paramKind") else ()))
    )
    return given, [each.get("name", "") for each in spec.get("variables") or ()]


def _frame(spec: dict, given: dict, operations: tuple[str, ...] = OPERATIONS) -> Iterator[Cause]:
    """Check what policies of both kinds have: when they are asked, about what, and with which variables."""
    yield from one_of("spec.failurePolicy", spec.get("failurePolicy"), ("Fail", "Ignore"))
    if kind := spec.get("paramKind"):
        yield from (required(f"spec.paramKind.{each}") for each in ("apiVersion", "kind") if not kind.get(each))
    if spec.get("matchConstraints") is None:
        yield required("spec.matchConstraints")
    else:
        yield from _match(spec["matchConstraints"], "spec.matchConstraints", operations, needs_rules=True)
    yield from conditions(spec.get("matchConditions"), given, "spec.matchConditions")
    known: list[str] = []
    for at, each in items(spec.get("variables"), "spec.variables"):
        yield from _variable(each, at, given, known)
        known.append(each.get("name", ""))


def binding(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from mutating_binding(obj, OPERATIONS)
    actions = spec.get("validationActions") or []
    if not actions:
        yield required("spec.validationActions")
    for index, (at, each) in enumerate(items(actions, "spec.validationActions")):
        if each not in ACTIONS:
            yield unsupported(at, each, ACTIONS)
        if each in actions[:index]:
            yield duplicate(at, each)
    if {"Deny", "Warn"} <= set(actions):
        yield invalid("spec.validationActions", actions, TWICE)


def mutating_binding(obj: dict, operations: tuple[str, ...] = MUTABLE) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("policyName"):
        yield required("spec.policyName")
    if (reference := spec.get("paramRef")) is not None:
        yield from _param_ref(reference, "spec.paramRef")
    if spec.get("matchResources"):
        yield from _match(spec["matchResources"], "spec.matchResources", operations)


def _param_ref(reference: dict, path: str) -> Iterator[Cause]:
    if reference.get("name") and reference.get("selector") is not None:
        yield from (forbidden(f"{path}.{each}", EXCLUSIVE) for each in ("name", "selector"))
    elif not reference.get("name") and reference.get("selector") is None:
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
        yield from every(resource_rule, match.get(field), f"{path}.{field}")
    if needs_rules and not match.get("resourceRules"):
        yield required(f"{path}.resourceRules")
    for each in [each for rule in match.get("resourceRules") or () for each in rule.get("operations") or ()]:
        if each in OPERATIONS and each not in operations:
            yield unsupported(f"{path}.resourceRules.operations", each, operations)


def _variable(given: dict, at: str, variables: dict, known: list[str]) -> Iterator[Cause]:
    name = given.get("name", "")
    if not name:
        yield required(f"{at}.name", "name is not specified")
    elif not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or name in cel.RESERVED:
        yield invalid(f"{at}.name", name, "name is not a valid CEL identifier")
    elif name in known:
        yield duplicate(f"{at}.name", name)
    yield from expression(given.get("expression", ""), f"{at}.expression", variables, known, "")
