"""Expressions in CEL about what is written: of admission policies, and of webhooks that are asked on a condition.

Upstream: pkg/apis/admissionregistration/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import cel, cel_mutation
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import duplicate, invalid, items, required, too_many

MOST_CONDITIONS = 64
ALWAYS = ("object", "oldObject", "request")


def conditions(given: list[dict] | None, variables: Iterable[str], path: str) -> Iterator[Cause]:
    """Check the conditions on which somebody is asked at all."""
    seen: set[str] = set()
    if len(given or ()) > MOST_CONDITIONS:
        yield too_many(path, len(given or ()), MOST_CONDITIONS)
    for at, each in items(given, path):
        if each.get("expression", "").strip():
            yield from expression(each["expression"], f"{at}.expression", variables, [])
        else:
            yield required(f"{at}.expression")
        yield from names.needed(names.qualified_name, f"{at}.name", each.get("name", ""))
        if each.get("name") and each["name"] in seen:
            yield duplicate(f"{at}.name", each["name"])
        seen.add(each.get("name", ""))


def expression(
    text: str, path: str, variables: Iterable[str], known: list[str], wanted: str = "bool"
) -> Iterator[Cause]:
    """Check an expression that may speak of these variables; "" for one of any type.

    What comes from the object is of any type too, which is let pass but where a patch is wanted.
    """
    if not text.strip():
        yield required(path, "expression is not specified" if path.endswith(".expression") else "")
        return
    makes_patches = wanted in (cel_mutation.OBJECT, cel_mutation.OPERATIONS)
    given = cel.typed(variables)
    try:
        types: cel.Types = cel_mutation.Patches(text) if makes_patches else cel.Types()
        if known:
            given["variables"] = types.of({"type": "object", "properties": dict.fromkeys(known, cel.ANY)})
        found = cel.check(text, given, types)
    except cel.BadExpression as error:
        yield invalid(path, text, f"compilation failed: {error}")
        return
    if wanted and found != wanted and (makes_patches or found != "dyn"):
        yield invalid(path, text, f"must evaluate to {wanted} but got {found}")
