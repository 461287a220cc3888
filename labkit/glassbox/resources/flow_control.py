"""FlowSchema and PriorityLevelConfiguration: which requests may have which share of an API server.

They are kept and checked as upstream's; this API server answers every request in its turn: none waits for others.

Upstream: pkg/registry/flowcontrol, pkg/apis/flowcontrol/validation/validation.go
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import condition, dig
from labkit.glassbox.resources.columns import AGE, NAME, NONE, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    every,
    forbidden,
    invalid,
    items,
    not_negative,
    required,
    unique,
    unsupported,
)
from labkit.glassbox.resources.validation.internal_struct import struct

GROUP = "flowcontrol.apiserver.k8s.io"
SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
LOWEST = 10_000  # the highest number, for what is looked at last
MOST_QUEUES, HASH_BITS = 10_000_000, 60
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_EVERYBODY = [{"kind": "Group", "group": {"name": f"system:{each}"}} for each in ("unauthenticated", "authenticated")]
_EVERYTHING = {
    "resourceRules": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    ],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}
# What each cluster has: kind → name → spec. Left out: what upstream suggests for its own components.
FROM_THE_BEGINNING: dict[str, dict[str, dict]] = {
    "flowschemas": {
        "exempt": {
            "priorityLevelConfiguration": {"name": "exempt"},
            "matchingPrecedence": 1,
            "rules": [{"subjects": [{"kind": "Group", "group": {"name": "system:masters"}}], **_EVERYTHING}],
        },
        "global-default": {
            "priorityLevelConfiguration": {"name": "global-default"},
            "matchingPrecedence": 9900,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": _EVERYBODY, **_EVERYTHING}],
        },
        "catch-all": {
            "priorityLevelConfiguration": {"name": "catch-all"},
            "matchingPrecedence": LOWEST,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": _EVERYBODY, **_EVERYTHING}],
        },
    },
    "prioritylevelconfigurations": {
        "exempt": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
        "global-default": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": 20,
                "limitResponse": {
                    "type": "Queue",
                    "queuing": {"queues": 128, "handSize": 6, "queueLengthLimit": 50},
                },
                "lendablePercent": 50,
            },
        },
        "catch-all": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": 5,
                "limitResponse": {"type": "Reject"},
                "lendablePercent": 0,
            },
        },
    },
}


MANDATORY = ("exempt", "catch-all")  # of them, whose specs are as they are


class FlowControlStrategy(Strategy):
    has_status = True
    counts_generation = True

    def __init__(self, faults: Callable[[dict], Iterator[Cause]]):
        self.faults = faults

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(_conditions(dig(obj, "status.conditions"), "status.conditions"))


def _conditions(given: list[dict] | None, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for place, each in items(given, path):
        yield from unique(f"{place}.type", each.get("type", ""), seen)
        if not each.get("type"):
            yield required(f"{place}.type", "must not be empty")


def _fixed(obj: dict, plural: str, kind: str, free: str = "") -> Iterator[Cause]:
    """Refuse another spec than that which a mandatory object has; `free` is what of it may be set."""
    name, spec = obj["metadata"].get("name", ""), obj.get("spec") or {}
    if name not in MANDATORY:
        return
    fixed, given = (
        {field: value for field, value in each.items() if not free or field != free}
        for each in (FROM_THE_BEGINNING[plural][name], spec)
    )
    if struct(kind, given) != struct(kind, fixed):
        but = f" except the 'spec.{free}' field" if free and name == free else ""
        yield invalid("spec", struct(kind, spec), f"spec of '{name}'{but} must equal the fixed value")


def flow_schema(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    place, path = spec.get("matchingPrecedence", 0), "spec.matchingPrecedence"
    if place <= 0:
        yield invalid(path, place, "must be a positive value")
    if place > LOWEST:
        yield invalid(path, place, f"must not be greater than {LOWEST}")
    if place == 1 and obj["metadata"].get("name") != "exempt":
        yield invalid(path, place, "only the schema named 'exempt' may have matchingPrecedence 1")
    method = (spec.get("distinguisherMethod") or {}).get("type", "ByUser")
    if method not in ("ByNamespace", "ByUser"):
        yield unsupported("spec.distinguisherMethod.type", {"Type": method}, ("ByNamespace", "ByUser"))
    level, at = dig(spec, "priorityLevelConfiguration.name"), "spec.priorityLevelConfiguration.name"
    if level:
        yield from names.check(names.dns_subdomain, at, level)
    else:
        yield required(at, "must reference a priority level")
    yield from every(_rule, spec.get("rules"), "spec.rules")
    yield from _fixed(obj, "flowschemas", "FlowSchemaSpec")


def _rule(rule: dict, path: str) -> Iterator[Cause]:
    if not rule.get("subjects"):
        yield required(f"{path}.subjects", "subjects must contain at least one value")
    yield from every(_subject, rule.get("subjects"), f"{path}.subjects")
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        yield required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    yield from every(_resources, rule.get("resourceRules"), f"{path}.resourceRules")
    yield from every(_paths, rule.get("nonResourceRules"), f"{path}.nonResourceRules")


def _subject(subject: dict, path: str) -> Iterator[Cause]:
    kind = subject.get("kind", "")
    own = SUBJECTS.get(kind)
    if own is None:
        yield unsupported(f"{path}.kind", kind, sorted(SUBJECTS))
        return
    if own not in subject:
        yield required(f"{path}.{own}", f"{own} is required when subject kind is '{kind}'")
    elif not subject[own].get("name"):
        yield required(f"{path}.{own}.name")
    elif kind == "ServiceAccount" and subject[own]["name"] != "*":
        yield from names.check(names.dns_subdomain, f"{path}.{own}.name", subject[own]["name"])
    if own == "serviceAccount" and own in subject:
        told = "must specify namespace for service account"
        yield from names.needed(names.dns_label, f"{path}.{own}.namespace", subject[own].get("namespace"), told)
    for other, field in SUBJECTS.items():
        if field != own and field in subject:
            yield forbidden(f"{path}.{field}", f"{field} is forbidden when subject kind is not '{other}'")


def _resources(rule: dict, path: str) -> Iterator[Cause]:
    told = "resource rules must supply at least one"
    yield from _verbs(rule, path)
    yield from _some(rule, path, "apiGroups", f"{told} api group", "api groups")
    yield from _some(rule, path, "resources", f"{told} resource", "resources")
    if not rule.get("clusterScope") or rule.get("namespaces"):
        missing = "resource rules that are not cluster scoped must supply at least one namespace"
        yield from _some(rule, path, "namespaces", missing, "namespaces")
    namespaces = rule.get("namespaces") or []
    for place, each in items(() if "*" in namespaces else namespaces, f"{path}.namespaces"):
        for told in names.dns_label(each):
            yield invalid(place, each, f"each member of this list must be '*' or a DNS-1123 label; {told}")


def _verbs(rule: dict, path: str) -> Iterator[Cause]:
    yield from _some(rule, path, "verbs", "verbs must contain at least one value", "verbs")
    given = rule.get("verbs") or []
    if "*" not in given and not set(given) <= set(VERBS):
        yield unsupported(f"{path}.verbs", given, VERBS)


def _paths(rule: dict, path: str) -> Iterator[Cause]:
    yield from _verbs(rule, path)
    missing, given = "nonResourceURLs must contain at least one value", rule.get("nonResourceURLs") or []
    yield from _some(rule, path, "nonResourceURLs", missing, "non-resource URLs")
    for place, each in items(() if "*" in given else given, f"{path}.nonResourceURLs"):
        if told := _no_path(each):
            yield invalid(place, each, told)


def _no_path(text: str) -> str:
    """Tell what keeps a text from being a path, which may end with a star; "" of one that is."""
    told = {
        "must not be empty": not text,
        "must start with slash": not text.startswith("/"),
        "must not contain white-space": " " in text,
        "must not contain double slash": "//" in text,
        "wildcard can only do suffix matching": "*" in text.removesuffix("/*"),
    }
    return next((sentence for sentence, holds in told.items() if holds), "")


def _some(rule: dict, path: str, field: str, missing: str, others: str) -> Iterator[Cause]:
    given = rule.get(field) or []
    if not given:
        yield required(f"{path}.{field}", missing)
    elif "*" in given and len(given) > 1:
        yield invalid(f"{path}.{field}", given, f"if '*' is present, must not specify other {others}")


def priority_level(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    kind = spec.get("type", "")
    if (obj["metadata"].get("name") == "exempt") != (kind == "Exempt"):
        yield invalid("spec.type", kind, "type must be 'Exempt' if and only if name is 'exempt'")
    if kind == "Exempt":
        if spec.get("limited") is not None:
            yield forbidden("spec.limited", "must be nil if the type is not Limited")
    elif kind == "Limited":
        if spec.get("exempt") is not None:
            yield forbidden("spec.exempt", "must be nil if the type is Limited")
        if spec.get("limited") is None:
            yield required("spec.limited", "must not be empty when type is Limited")
        else:
            yield from _limited(spec["limited"], "spec.limited")
    else:
        yield unsupported("spec.type", kind, ("Exempt", "Limited"))
    yield from _fixed(obj, "prioritylevelconfigurations", "PriorityLevelConfigurationSpec", "exempt")


def _limited(limited: dict, path: str) -> Iterator[Cause]:
    if limited.get("nominalConcurrencyShares", 30) < 0:
        told = "must be a non-negative integer"
        yield invalid(f"{path}.nominalConcurrencyShares", limited["nominalConcurrencyShares"], told)
    response, at = limited.get("limitResponse") or {}, f"{path}.limitResponse"
    kind, queuing = response.get("type", ""), response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            yield forbidden(f"{at}.queuing", "must be nil if limited.limitResponse.type is not Limited")
    elif kind != "Queue":
        yield unsupported(f"{at}.type", kind, ("Queue", "Reject"))
    elif queuing is None:
        yield required(f"{at}.queuing", "must not be empty if limited.limitResponse.type is Limited")
    else:
        yield from _queues(queuing, f"{at}.queuing")
    if not 0 <= limited.get("lendablePercent", 0) <= 100:
        yield invalid(f"{path}.lendablePercent", limited["lendablePercent"], "must be between 0 and 100, inclusive")
    yield from not_negative(f"{path}.borrowingLimitPercent", limited.get("borrowingLimitPercent"))


def _queues(queuing: dict, path: str) -> Iterator[Cause]:
    for field in ("queueLengthLimit", "queues", "handSize"):
        if queuing.get(field, 1) <= 0:
            yield invalid(f"{path}.{field}", queuing[field], "must be positive")
    queues, hand = queuing.get("queues", 0), queuing.get("handSize", 0)
    if queues > MOST_QUEUES:
        yield invalid(f"{path}.queues", queues, f"must not be greater than {MOST_QUEUES}")
    if hand > max(queues, 0):
        yield invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif hand > 0 and math.ceil(math.log2(queues) * hand) > HASH_BITS:
        told = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        yield invalid(f"{path}.handSize", hand, told)


def _of_queue(field: str) -> Callable[[dict, float], Any]:
    return lambda obj, now: dig(obj, f"spec.limited.limitResponse.queuing.{field}", NONE)


def _shares(obj: dict, now: float) -> Any:
    return dig(obj, "spec.limited.nominalConcurrencyShares", NONE)


def _missing_level(obj: dict, now: float) -> str:
    return (condition(obj, "Dangling") or {}).get("status", "?")


_QUEUING = "spec.limited.limitResponse.queuing"
FLOW_SCHEMAS = Resource(
    group=GROUP,
    kind="FlowSchema",
    plural="flowschemas",
    namespaced=False,
    strategy=FlowControlStrategy(flow_schema),
    subresources=("status",),
    columns=(
        NAME,
        Column(
            "PriorityLevel",
            at("spec.priorityLevelConfiguration.name"),
            describes="spec.priorityLevelConfiguration.name",
        ),
        Column("MatchingPrecedence", at("spec.matchingPrecedence"), describes="spec.matchingPrecedence"),
        Column("DistinguisherMethod", at("spec.distinguisherMethod.type", NONE), describes="spec.distinguisherMethod"),
        AGE,
        Column(
            "MissingPL", _missing_level, description="references a broken or non-existent PriorityLevelConfiguration"
        ),
    ),
)
PRIORITY_LEVELS = Resource(
    group=GROUP,
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    namespaced=False,
    strategy=FlowControlStrategy(priority_level),
    subresources=("status",),
    columns=(
        NAME,
        Column("Type", at("spec.type"), describes="spec.type"),
        Column("NominalConcurrencyShares", _shares, describes="spec.limited.nominalConcurrencyShares"),
        Column("Queues", _of_queue("queues"), describes=f"{_QUEUING}.queues"),
        Column("HandSize", _of_queue("handSize"), describes=f"{_QUEUING}.handSize"),
        Column("QueueLengthLimit", _of_queue("queueLengthLimit"), describes=f"{_QUEUING}.queueLengthLimit"),
        AGE,
    ),
)
