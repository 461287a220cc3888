"""Nobody gives rights that he does not have: what a role says, or a binding gives, its author must hold himself.

Exempt are members of system:masters, and who has the verb `escalate` on the role, or `bind` on the role that is bound.

Upstream: pkg/registry/rbac/{escalation_check.go,validation/policy_comparator.go,validation/rule.go}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from labkit.glassbox.apiserver.auth import User
from labkit.glassbox.apiserver.authorization.attributes import Attributes
from labkit.glassbox.apiserver.authorization.rbac import Grants, resource_matches, url_matches

FIELDS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
GO_NAMES = {
    "apiGroups": "APIGroups",
    "resources": "Resources",
    "nonResourceURLs": "NonResourceURLs",
    "resourceNames": "ResourceNames",
    "verbs": "Verbs",
}


def refusal(user: User, held: Grants, wanted: Iterable[dict]) -> str:
    """Return why the user may not give these rules, "" if he has them all."""
    owned = [grant.rule for grant in held.rules]
    lacking = [part for rule in wanted for part in parts(rule) if not any(covers(own, part) for own in owned)]
    if not lacking:
        return ""
    groups = " ".join(f'"{group}"' for group in user.groups)
    shown = "\n".join(told(rule) for rule in sorted(compacted(lacking), key=_order))
    faults = f"; resolution errors: [{', '.join(held.faults)}]" if held.faults else ""
    return (
        f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
        f"{shown}{faults}"
    )


def parts(rule: dict) -> Iterator[dict]:
    """Yield the smallest rules that a rule is made of: one verb on one resource, object or URL."""
    for group, resource, verb in product(rule.get("apiGroups") or (), rule.get("resources") or (), rule["verbs"]):
        for name in rule.get("resourceNames") or (None,):
            named = {} if name is None else {"resourceNames": [name]}
            yield {"verbs": [verb], "apiGroups": [group], "resources": [resource], **named}
    for url, verb in product(rule.get("nonResourceURLs") or (), rule["verbs"]):
        yield {"verbs": [verb], "nonResourceURLs": [url]}


def covers(own: dict, part: dict) -> bool:
    """Tell whether a rule allows all that a smallest rule does."""
    verb = part["verbs"][0]
    if verb not in own["verbs"] and "*" not in own["verbs"]:
        return False
    if urls := part.get("nonResourceURLs"):
        return any(url_matches(each, urls[0]) for each in own.get("nonResourceURLs") or ())
    group, (resource, _, subresource) = part["apiGroups"][0], part["resources"][0].partition("/")
    asked, names = Attributes(verb, group, resource, subresource), own.get("resourceNames")
    return (
        (group in (own.get("apiGroups") or ()) or "*" in (own.get("apiGroups") or ()))
        and any(resource_matches(each, asked) for each in own.get("resources") or ())
        and (not names or (part.get("resourceNames") or [None])[0] in names)
    )


def compacted(rules: list[dict]) -> list[dict]:
    """Return the rules with the verbs on the same thing put together, URLs apart."""
    found: dict[tuple, dict] = {}
    for number, rule in enumerate(rules):
        key: tuple = tuple(tuple(rule.get(field) or ()) for field in FIELDS[1:4])
        if rule.get("nonResourceURLs"):
            key = (number,)
        elif key in found:
            found[key]["verbs"] = [*found[key]["verbs"], *rule["verbs"]]
            continue
        found[key] = dict(rule)
    return list(found.values())


def _order(rule: dict) -> str:
    """Return a rule as Go prints it, by which upstream sorts."""
    return ",".join(f"{GO_NAMES[field]}:[{' '.join(rule.get(field) or ())}]" for field in FIELDS)


def told(rule: dict) -> str:
    """Return a rule as refusals show it: {APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}."""
    lists = ((name, rule.get(field)) for field, name in GO_NAMES.items())
    quoted = (f"{name}:[{' '.join(chr(34) + each + chr(34) for each in given)}]" for name, given in lists if given)
    return "{" + ", ".join(quoted) + "}"
