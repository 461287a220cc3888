"""A policy's expressions, held against the kinds that it is about: status.typeChecking tells what cannot be in them.

Only the fields that an expression names are given types; what is not among a kind's fields is then undefined.

Left out: types of variables, of the request and of the namespace, which count as any.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating/typechecking.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

from labkit.glassbox.apiserver.definitions import definition, reference, type_of
from labkit.glassbox.resources import REGISTRY, Resource, cel
from labkit.glassbox.resources.validation.admission_policies import seen

MOST_KINDS = 10
MOST_TURNS = 1  # that a definition which refers to itself is followed; what lies deeper counts as any


def status(policy: dict) -> dict:
    """Return the status that a policy should have."""
    found = list(_warnings(policy["spec"]))
    checked = {"expressionWarnings": found} if found else {}
    return {"observedGeneration": policy["metadata"]["generation"], "typeChecking": checked}


def _warnings(spec: dict) -> Iterator[dict]:
    kinds = sorted(_kinds(spec), key=_shown)
    for index, validation in enumerate(spec.get("validations") or ()):
        for field in ("expression", "messageExpression"):
            if text := validation.get(field):
                told = [f"{_shown(kind)}: {fault}\n" for kind in kinds if (fault := _fault(text, kind, spec))]
                if told:
                    yield {"fieldRef": f"spec.validations[{index}].{field}", "warning": "\n".join(told)}


def _kinds(spec: dict) -> set[Resource]:
    """Return the kinds that a policy names one by one."""
    found: set[Resource] = set()
    for rule in spec["matchConstraints"].get("resourceRules") or ():
        if "*" in (*rule["apiGroups"], *rule["apiVersions"]):
            continue
        for group, version, plural in product(*(sorted(rule[e]) for e in ("apiGroups", "apiVersions", "resources"))):
            resource = REGISTRY.at(group, version, plural)
            if resource is not None and len(found) < MOST_KINDS:
                found.add(resource)
    return found


def _shown(kind: Resource) -> str:
    return f"{kind.group}/{kind.version}, Kind={kind.kind}"


def _fault(expression: str, kind: Resource, spec: dict) -> str:
    """Return what is wrong with an expression about objects of a kind; "" if nothing is."""
    words, types = frozenset(re.findall(r"\w+", expression)), cel.Types()
    given, known = seen(spec)
    variables = cel.typed(given)
    variables |= dict.fromkeys(("object", "oldObject"), types.of(_schema(definition(kind.definition), words)))
    variables["variables"] = types.of({"type": "object", "properties": dict.fromkeys(known, cel.ANY)})
    meant = spec.get("paramKind") or {}
    if params := REGISTRY.for_kind(meant.get("apiVersion", ""), meant.get("kind", "")):
        variables["params"] = types.of(_schema(definition(params.definition), words))
    try:
        cel.check(expression, variables, types)
    except cel.BadExpression as error:
        return str(error)
    return ""


def _schema(schema: dict, words: frozenset[str], within: tuple[str, ...] = ()) -> dict:
    """Return a published schema as far as an expression may speak of it."""
    if name := reference(schema):
        return cel.ANY if within.count(name) > MOST_TURNS else _schema(definition(name), words, (*within, name))
    if "oneOf" in schema or schema.get("x-kubernetes-int-or-string") or "type" not in schema:
        return cel.ANY
    kind = {"type": type_of(schema), **({"format": schema["format"]} if "format" in schema else {})}
    for keyword in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(keyword), dict):
            kind[keyword] = _schema(inner, words, within)
    if properties := schema.get("properties"):
        kind["properties"] = {name: _schema(properties[name], words, within) for name in properties if name in words}
    elif kind["type"] == "object" and "additionalProperties" not in kind:
        return cel.ANY
    return kind
