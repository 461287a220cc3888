"""What the wishes of a pod to its scheduler must satisfy: selectors, affinity, tolerations, spreading.

Upstream: validateAffinity, ValidateTolerations, validateTopologySpreadConstraints
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import every, invalid, items, one_of, required, shown, unsupported
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.metadata import label_selector, requirement

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def affinity(given: dict | None, path: str) -> Iterator[Cause]:
    given = given or {}
    yield from _node_affinity(given.get("nodeAffinity") or {}, f"{path}.nodeAffinity")
    for kind in ("podAffinity", "podAntiAffinity"):
        yield from _pod_affinity(given.get(kind) or {}, f"{path}.{kind}")


def _node_affinity(given: dict, path: str) -> Iterator[Cause]:
    if (needed := given.get(REQUIRED)) is not None:
        yield from node_selector(needed, f"{path}.{REQUIRED}")
    for at, each in items(given.get(PREFERRED), f"{path}.{PREFERRED}"):
        yield from _weight(each, at)
        yield from _node_term(each.get("preference") or {}, f"{at}.preference")


def node_selector(given: dict, path: str) -> Iterator[Cause]:
    at = f"{path}.nodeSelectorTerms"
    if not given.get("nodeSelectorTerms"):
        yield required(at, "must have at least one node selector term")
    yield from every(_node_term, given.get("nodeSelectorTerms"), at)


def _node_term(term: dict, path: str) -> Iterator[Cause]:
    yield from every(requirement, term.get("matchExpressions"), f"{path}.matchExpressions", True)


def _weight(each: dict, path: str) -> Iterator[Cause]:
    if not 1 <= each.get("weight", 0) <= 100:
        yield invalid(f"{path}.weight", each.get("weight", 0), "must be in the range 1-100")


def _pod_affinity(given: dict, path: str) -> Iterator[Cause]:
    yield from every(_pod_term, given.get(REQUIRED), f"{path}.{REQUIRED}")
    for at, each in items(given.get(PREFERRED), f"{path}.{PREFERRED}"):
        yield from _weight(each, at)
        yield from _pod_term(each.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")


def _pod_term(term: dict, path: str) -> Iterator[Cause]:
    yield from label_selector(term.get("labelSelector") or {}, f"{path}.labelSelector")
    yield from _topology_key(term, path)


def toleration(given: dict, path: str) -> Iterator[Cause]:
    key, operator, value, effect = (given.get(field, "") for field in ("key", "operator", "value", "effect"))
    if key:
        yield from names.check(names.qualified_name, f"{path}.key", key)
    elif operator != "Exists":
        told = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid(f"{path}.operator", operator, told)
    if given.get("tolerationSeconds") is not None and effect != "NoExecute":
        yield invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator in ("", "Equal"):
        for told in names.label_value(value):
            yield invalid(f"{path}.operator", value, told)
    elif operator != "Exists":
        yield unsupported(f"{path}.operator", operator, ("Equal", "Exists"))
    elif value:
        yield invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'")
    if effect:
        yield from one_of(f"{path}.effect", effect, EFFECTS)


def topology_spread(given: dict, path: str) -> Iterator[Cause]:
    if given.get("maxSkew", 0) <= 0:
        yield invalid(f"{path}.maxSkew", given.get("maxSkew", 0), "must be greater than zero")
    yield from _topology_key(given, path)
    when = given.get("whenUnsatisfiable", "")
    yield from one_of(f"{path}.whenUnsatisfiable", when, ("DoNotSchedule", "ScheduleAnyway"))
    yield from label_selector(given.get("labelSelector") or {}, f"{path}.labelSelector")


def _topology_key(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("topologyKey"):
        yield required(f"{path}.topologyKey", "can not be empty")
    else:
        yield from names.check(names.qualified_name, f"{path}.topologyKey", given["topologyKey"])


def taints(given: list[dict], path: str) -> Iterator[Cause]:
    seen = set()
    for at, each in items(given, path):
        yield from names.check(names.qualified_name, f"{at}.key", each.get("key", ""))
        yield from names.check(names.label_value, f"{at}.value", each.get("value", ""))
        yield from one_of(f"{at}.effect", each.get("effect", ""), EFFECTS)
        which = (each.get("key"), each.get("effect"))
        if which in seen:
            yield from [_twice(each, at)]
        seen.add(which)


def _twice(taint: dict, path: str) -> Cause:
    value = shown(struct("Taint", taint))
    return Cause("FieldValueDuplicate", f"Duplicate value: {value}: taints must be unique by key and effect pair", path)
