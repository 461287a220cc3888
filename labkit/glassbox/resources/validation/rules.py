"""x-kubernetes-validations: rules in CEL, checked when a definition is written and asked when an object is.

A rule that speaks of `oldSelf` is asked on updates alone, of values whose older ones are known; with optionalOldSelf it
is asked always, and `oldSelf` is an optional, written out for the library, whose variables cannot be optionals. The
others are not asked again of a value that has not changed.

Left out: sets and maps are compared in their order, which upstream ignores.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/{compilation,validation}.go
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import cel
from labkit.glassbox.resources.structural import schema_of
from labkit.glassbox.resources.validation import go_struct, rule_costs
from labkit.glassbox.resources.validation.fields import duplicate, forbidden, invalid, one_of, required
from labkit.glassbox.resources.validation.schema_values import NOTHING, NOWHERE, counterpart, same

RULES = "x-kubernetes-validations"
REASONS = ("FieldValueRequired", "FieldValueForbidden", "FieldValueInvalid", "FieldValueDuplicate")
OLD = re.compile(r"\boldSelf\b")
OPTIONAL = "(oldSelf__known ? optional.of(oldSelf) : optional.none())"


# -- a definition


def check(
    schema: dict, path: str, is_root: bool, broken_at: str, bound: int | None, costs: list[tuple[str, int]]
) -> Iterator[Cause]:
    """Yield what is wrong with a schema's own rules; note what each costs.

    `broken_at`: the list whose items have no older ones; `bound`: how many such values there may be in an object.
    """
    for index, rule in enumerate(schema.get(RULES) or ()):
        at = f"{path}.{RULES}[{index}]"
        if "\n" in rule.get("fieldPath", ""):
            yield invalid(f"{at}.fieldPath", rule["fieldPath"], "fieldPath must not contain line breaks")
        yield from one_of(f"{at}.reason", rule.get("reason"), REASONS)
        target = rule.get("fieldPath")
        if target and _at(target, schema) is None:
            yield invalid(f"{at}.fieldPath", target, "fieldPath must be a valid path: does not refer to a valid field")
        if not rule.get("rule", "").strip():
            continue  # told of with the texts
        if OLD.search(rule["rule"]) and broken_at:
            told = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {broken_at}"
            yield _refused(f"{at}.rule", rule, told)
            continue
        if "optionalOldSelf" in rule and not OLD.search(rule["rule"]):
            told = "may not be set if oldSelf is not used in rule"
            yield invalid(f"{at}.optionalOldSelf", rule["optionalOldSelf"], told)
        yield from _compiled(schema, rule, at, is_root, bound, costs)


def _compiled(
    schema: dict, rule: dict, at: str, is_root: bool, bound: int | None, costs: list[tuple[str, int]]
) -> Iterator[Cause]:
    types = cel.Types()
    own = types.of(schema, is_root)
    old = {"oldSelf": own, "oldSelf__known": cel.library().Type.BOOL}
    variables = {"self": own, **(old if OLD.search(json.dumps(rule)) else {})}
    for field, wanted, told, prefix in (
        ("rule", "bool", "cel expression must evaluate to a bool", "compilation failed: "),
        (
            "messageExpression",
            "string",
            "messageExpression must evaluate to a string",
            "messageExpression compilation failed: ",
        ),
    ):
        if not rule.get(field):
            continue
        try:
            compiled = cel.compiled(_written(rule, field), variables, types)
        except cel.BadExpression as error:
            yield _refused(f"{at}.{field}", rule, f"{prefix}{str(error).replace(OPTIONAL, 'oldSelf')}")
            continue
        if cel.in_go(compiled.return_type().name()) not in (wanted, "dyn"):
            yield _refused(f"{at}.{field}", rule, told)
            continue
        costs.append((f"{at}.{field}", rule_costs.estimate(compiled, schema, bound)))
        yield from rule_costs.exceeding(*costs[-1], f"estimated {field} cost")


def _written(rule: dict, field: str) -> str:
    """Return an expression as the library takes it."""
    if not rule.get("optionalOldSelf"):
        return rule[field]
    return re.sub(rf"({cel.TEXT})|\boldSelf\b", lambda found: found[1] or OPTIONAL, rule[field], flags=re.DOTALL)


def _refused(path: str, rule: dict, told: str) -> Cause:
    return invalid(path, go_struct.rule(rule), told)


def _at(path: str, schema: dict) -> dict | None:
    """Return the schema at the path of a rule: ".a.b", "['a']"."""
    found: dict | None = schema
    parts = re.findall(r"\.([^.\[\]]+)|\['([^']+)'\]", path)
    if "".join(f".{name}" if name else f"['{key}']" for name, key in parts) != path:
        return None
    for name, key in parts:
        found = schema_of(name or key, found) if found else None
    return found


# -- an object


def broken(value: Any, schema: dict, path: str = "", old: Any = NOTHING, is_root: bool = True) -> Iterator[Cause]:
    """Yield a cause for each rule that a value, or one in it, breaks."""
    if value is None:
        return
    rules = schema.get(RULES) or ()
    if rules:
        seen = cel.value(value, schema, is_root)
        before = cel.value(old, schema, is_root) if old is not NOTHING else NOTHING
        unchanged = old is not NOTHING and same(value, old)
        for rule in rules:
            is_of_old, is_known = OLD.search(rule["rule"]), before is not NOTHING
            if (is_of_old and not is_known and not rule.get("optionalOldSelf")) or (unchanged and not is_of_old):
                continue
            old_values = {"oldSelf": before if is_known else seen, "oldSelf__known": is_known}
            yield from _asked(rule, {"self": seen, **(old_values if is_of_old else {})}, value, path)
    if isinstance(value, dict):
        for name, item in value.items():
            if (inner := schema_of(name, schema)) is not None:
                at = f"{path}.{name}" if path else name
                yield from broken(item, inner, at, old.get(name, NOTHING) if isinstance(old, dict) else NOTHING, False)
    elif isinstance(value, list) and isinstance(inner := schema.get("items"), dict):
        for index, item in enumerate(value):
            yield from broken(item, inner, f"{path}[{index}]", counterpart(item, schema, old), False)


def _asked(rule: dict, values: dict, value: Any, path: str) -> Iterator[Cause]:
    try:
        if cel.evaluate(_written(rule, "rule"), values):
            return
    except cel.Failed as failure:
        told = f"{failure} evaluating rule: {rule.get('message') or rule['rule']}"
        if str(failure) == "no such overload":
            told = "'no such overload': call arguments did not match a supported operator, function or macro signature"
            told = f"{told} for rule: {rule.get('message') or rule['rule']}"
        yield _cause("", path, value, told)
        return
    yield _cause(rule.get("reason", ""), f"{path}{rule.get('fieldPath', '')}", value, message(rule, values))


def message(rule: dict, values: dict) -> str:
    """Return what a broken rule says."""
    if rule.get("messageExpression"):
        try:
            told = cel.evaluate(_written(rule, "messageExpression"), values)
            if isinstance(told, str) and told.strip() and "\n" not in told:
                return told.strip()
        except cel.Failed:
            pass  # as upstream: then the message, or the rule
    return rule.get("message", "").strip() or f"failed rule: {rule['rule'].strip()}"


def _cause(reason: str, path: str, value: Any, told: str) -> Cause:
    path = path.removeprefix(".") or NOWHERE
    if reason == "FieldValueForbidden":
        return forbidden(path, told)
    if reason == "FieldValueRequired":
        return required(path, told)
    if reason == "FieldValueDuplicate":
        return duplicate(path, value)
    if isinstance(value, dict | list):
        return Cause("FieldValueInvalid", f"Invalid value: {told}", path)
    return invalid(path, value, told)
