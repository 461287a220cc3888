"""What admission policies and their bindings must satisfy; each expression has to compile.

Upstream: pkg/apis/admissionregistration/validation/validation.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import cel
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.expressions import ALWAYS, conditions, expression
from labkit.glassbox.resources.validation.fields import duplicate, every, invalid, items, one_of, required, unsupported
from labkit.glassbox.resources.validation.metadata import label_selector
from labkit.glassbox.resources.validation.webhooks import rule as resource_rule

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
ACTIONS = ("Audit", "Deny", "Warn")
SOME = "validations or auditAnnotations must contain at least one item"
TWICE = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
    "headers serves no purpose)"
)


def policy(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    yield from one_of("spec.failurePolicy", spec.get("failurePolicy"), ("Fail", "Ignore"))
    if kind := spec.get("paramKind"):
        yield from (required(f"spec.paramKind.{each}") for each in ("apiVersion", "kind") if not kind.get(each))
    if spec.get("matchConstraints") is None:
        yield required("spec.matchConstraints")
    else:
        yield from _match(spec["matchConstraints"], "spec.matchConstraints", needs_rules=True)
    given: dict = dict.fromkeys((*ALWAYS, "namespaceObject", *(("params",) if kind else ())))
    yield from conditions(spec.get("matchConditions"), given, "spec.matchConditions")
    known: list[str] = []
    for at, each in items(spec.get("variables"), "spec.variables"):
        yield from _variable(each, at, given, known)
        known.append(each.get("name", ""))
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        yield from (required(f"spec.{field}", SOME) for field in ("validations", "auditAnnotations"))
    for at, each in items(spec.get("validations"), "spec.validations"):
        yield from expression(each.get("expression", ""), f"{at}.expression", given, known)
        if each.get("messageExpression"):
            yield from expression(each["messageExpression"], f"{at}.messageExpression", given, known, "STRING")
        yield from one_of(f"{at}.reason", each.get("reason"), REASONS)
    for at, each in items(spec.get("auditAnnotations"), "spec.auditAnnotations"):
        yield from names.needed(names.qualified_name, f"{at}.key", each.get("key", ""))
        yield from expression(each.get("valueExpression", ""), f"{at}.valueExpression", given, known, "STRING")


def binding(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("policyName"):
        yield required("spec.policyName")
    if (reference := spec.get("paramRef")) is not None:
        if bool(reference.get("name")) == (reference.get("selector") is not None):
            yield required("spec.paramRef.name", "one of name or selector must be specified")
        if not reference.get("parameterNotFoundAction"):
            yield required("spec.paramRef.parameterNotFoundAction")
        action = reference.get("parameterNotFoundAction")
        yield from one_of("spec.paramRef.parameterNotFoundAction", action, ("Allow", "Deny"))
    if spec.get("matchResources"):
        yield from _match(spec["matchResources"], "spec.matchResources")
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


def _match(match: dict, path: str, needs_rules: bool = False) -> Iterator[Cause]:
    yield from one_of(f"{path}.matchPolicy", match.get("matchPolicy"), ("Equivalent", "Exact"))
    for selector in ("namespaceSelector", "objectSelector"):
        yield from label_selector(match.get(selector) or {}, f"{path}.{selector}")
    for field in ("resourceRules", "excludeResourceRules"):
        yield from every(resource_rule, match.get(field), f"{path}.{field}")
    if needs_rules and not match.get("resourceRules"):
        yield required(f"{path}.resourceRules")


def _variable(given: dict, at: str, variables: dict, known: list[str]) -> Iterator[Cause]:
    name = given.get("name", "")
    if not name:
        yield required(f"{at}.name", "name is not specified")
    elif not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or name in cel.RESERVED:
        yield invalid(f"{at}.name", name, "name is not a valid CEL identifier")
    elif name in known:
        yield duplicate(f"{at}.name", name)
    yield from expression(given.get("expression", ""), f"{at}.expression", variables, known, "")
