"""What the wishes of a pod to its scheduler must satisfy: selectors, affinity, tolerations, spreading.

Upstream: validateAffinity, ValidateTolerations, validateTopologySpreadConstraints
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    every,
    forbidden,
    invalid,
    items,
    one_of,
    required,
    shown,
    unsupported,
)
from labkit.glassbox.resources.validation.internal_struct import struct
from labkit.glassbox.resources.validation.metadata import label_selector, requirement

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
POSITIVE = "must be greater than zero"
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
        yield from _node_term(each.get("preference") or {}, f"{at}.preference", False)


def node_selector(given: dict, path: str) -> Iterator[Cause]:
    at = f"{path}.nodeSelectorTerms"
    if not given.get("nodeSelectorTerms"):
        yield required(at, "must have at least one node selector term")
    yield from every(_node_term, given.get("nodeSelectorTerms"), at, True)


def _node_term(term: dict, path: str, strict: bool) -> Iterator[Cause]:
    """Check a term; `strict`: what is compared with must be what a label may be, which of a mere wish is not asked."""
    for at, each in items(term.get("matchExpressions"), f"{path}.matchExpressions"):
        yield from requirement(each, at, comparisons=True)
        for where, value in items(each.get("values") if strict else (), f"{at}.values"):
            yield from names.check(names.label_value, where, value)
    for at, each in items(term.get("matchFields"), f"{path}.matchFields"):
        operator, values = each.get("operator", ""), each.get("values") or []
        if operator not in ("In", "NotIn"):
            yield invalid(f"{at}.operator", operator, "not a valid selector operator")
        elif len(values) != 1:
            told = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            yield required(f"{at}.values", told)
        if each.get("key") != "metadata.name":
            yield invalid(f"{at}.key", each.get("key", ""), "not a valid field selector key")
            continue
        for where, value in items(values, f"{at}.values"):
            yield from names.check(names.dns_subdomain, where, value)


def _weight(each: dict, path: str) -> Iterator[Cause]:
    if not 1 <= each.get("weight", 0) <= 100:
        yield invalid(f"{path}.weight", each.get("weight", 0), "must be in the range 1-100")


def _pod_affinity(given: dict, path: str) -> Iterator[Cause]:
    yield from every(_pod_term, given.get(REQUIRED), f"{path}.{REQUIRED}")
    for at, each in items(given.get(PREFERRED), f"{path}.{PREFERRED}"):
        yield from _weight(each, at)
        yield from _pod_term(each.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")


def _pod_term(term: dict, path: str) -> Iterator[Cause]:
    for field in ("labelSelector", "namespaceSelector"):
        yield from label_selector(term.get(field) or {}, f"{path}.{field}")
    for name in term.get("namespaces") or []:
        yield from names.check(names.dns_label, f"{path}.namespace", name)
    yield from _label_keys(term, path)
    if not term.get("topologyKey"):
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from names.check(names.qualified_name, f"{path}.topologyKey", term.get("topologyKey", ""))


def _label_keys(term: dict, path: str) -> Iterator[Cause]:
    """Check the keys whose values are the pod's own: those to match are in the selector already, once."""
    selector, matched, others = (term.get(field) for field in ("labelSelector", "matchLabelKeys", "mismatchLabelKeys"))
    for field, keys in (("matchLabelKeys", matched), ("mismatchLabelKeys", others)):
        if keys and selector is None:
            yield forbidden(f"{path}.{field}", "must not be specified when labelSelector is not set")
        elif keys:
            yield from every(lambda key, at: names.check(names.qualified_name, at, key), keys, f"{path}.{field}")
    seen = set((selector or {}).get("matchLabels") or ())
    for each in (selector or {}).get("matchExpressions") or []:
        key = each.get("key", "")
        if matched and key in matched and key in seen:
            yield invalid(f"{path}[{matched.index(key)}]", key, "exists in both matchLabelKeys and labelSelector")
        seen.add(key)
    for at, key in items(matched, f"{path}.matchLabelKeys"):
        if key in (others or ()):
            yield invalid(at, key, "exists in both matchLabelKeys and mismatchLabelKeys")


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
        if faults := names.label_value(value):
            yield invalid(f"{path}.operator", value, ";".join(faults))
    elif operator != "Exists":
        yield unsupported(f"{path}.operator", operator, ("Equal", "Exists"))
    elif value:
        yield invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'")
    if effect:
        yield from one_of(f"{path}.effect", effect, EFFECTS)


def topology_spread(given: list[dict], path: str) -> Iterator[Cause]:
    for index, (at, each) in enumerate(items(given, path)):
        fewest, when, key = each.get("minDomains"), each.get("whenUnsatisfiable", ""), each.get("topologyKey", "")
        if each.get("maxSkew", 0) <= 0:
            yield invalid(f"{at}.maxSkew", each.get("maxSkew", 0), POSITIVE)
        if not key:
            yield required(f"{at}.topologyKey", "can not be empty")
        yield from one_of(f"{at}.whenUnsatisfiable", when, ("DoNotSchedule", "ScheduleAnyway"))
        if any((key, when) == (o.get("topologyKey", ""), o.get("whenUnsatisfiable", "")) for o in given[index + 1 :]):
            yield duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {when}}}")
        if fewest is not None and fewest <= 0:
            yield invalid(f"{at}.minDomains", fewest, POSITIVE)
        if fewest is not None and when != "DoNotSchedule":
            told = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}"
            yield invalid(f"{at}.minDomains", fewest, told)
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            yield from one_of(f"{at}.{field}", each.get(field), ("Honor", "Ignore"))
        yield from _label_keys(each, at)
        yield from label_selector(each.get("labelSelector") or {}, f"{at}.labelSelector")


def narrowed(new: dict, held: dict) -> Iterator[Cause]:
    """Check where a pod that waits at a gate may go now: only to fewer nodes than before."""
    wanted, had = new.get("nodeSelector") or {}, held.get("nodeSelector") or {}
    if not had.items() <= wanted.items():
        told = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        yield invalid("spec.nodeSelector", wanted or None, told)
    terms, before = (dig(each, f"affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms") or [] for each in (new, held))
    path = f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms"
    if before and len(before) != len(terms):
        told = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        yield invalid(path, [struct("NodeSelectorTerm", each) for each in terms] or None, told)
        return
    for index, (one, other) in enumerate(zip(terms, before, strict=False)):
        parts = [(one.get(field) or [], other.get(field) or []) for field in ("matchExpressions", "matchFields")]
        nothing, something = not any(old for _, old in parts), any(now for now, _ in parts)
        if (nothing and something) or any(now[: len(old)] != old for now, old in parts):
            told = "only additions are allowed (no mutations or deletions)"
            yield invalid(f"{path}[{index}]", struct("NodeSelectorTerm", one), told)


def taints(given: list[dict], path: str) -> Iterator[Cause]:
    seen = set()
    for at, each in items(given, path):
        yield from names.check(names.qualified_name, f"{at}.key", each.get("key", ""))
        if faults := names.label_value(each.get("value", "")):
            yield invalid(f"{at}.value", each["value"], ";".join(faults))
        yield from one_of(f"{at}.effect", each["effect"], EFFECTS) if each.get("effect") else [required(f"{at}.effect")]
        which = (each.get("key"), each.get("effect"))
        if which in seen:
            yield from [_twice(each, at)]
        seen.add(which)


def _twice(taint: dict, path: str) -> Cause:
    value = shown(struct("Taint", taint))
    return Cause("FieldValueDuplicate", f"Duplicate value: {value}: taints must be unique by key and effect pair", path)
