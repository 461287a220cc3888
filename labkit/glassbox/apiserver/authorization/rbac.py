"""Role-based access: a user may do what a rule of a role says that a binding gives to him or to a group of his.

The bindings are read once and kept until a role or a binding changes; so are a user's rules, and decisions.

Upstream: plugin/pkg/auth/authorizer/rbac/rbac.go, pkg/registry/rbac/validation/rule.go,
pkg/apis/rbac/v1/evaluation_helpers.go
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from labkit.glassbox import objects, tokens
from labkit.glassbox.apiserver.auth import User
from labkit.glassbox.apiserver.authorization.attributes import Attributes, Decision
from labkit.glassbox.apiserver.objects_at_rest import key, prefix
from labkit.glassbox.resources.rbac import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from labkit.glassbox.store import Change, Store

MOST_REMEMBERED = 8192  # decisions, and users' rules


@dataclass(frozen=True)
class Grant:
    """One rule that a user has, and by what: the binding, the role and the subject in words."""

    rule: dict
    source: str


@dataclass(frozen=True)
class Grants:
    """All rules that a user has in a namespace, and which roles of his bindings do not exist."""

    rules: tuple[Grant, ...]
    faults: tuple[str, ...] = ()


class RoleAuthorizer:
    """Answers from the roles and bindings in the store."""

    def __init__(self, store: Store):
        self.store = store
        self.bindings: dict[str, list[dict]] = {}  # namespace, "" for the cluster's own → bindings
        self.granted: dict[tuple, Grants] = {}
        self.decisions: dict[tuple, Decision] = {}
        for resource in (ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS):
            store.subscribe(prefix(resource), self._forget)

    def _forget(self, change: Change) -> None:
        self.bindings, self.granted, self.decisions = {}, {}, {}

    def decide(self, user: User, asked: Attributes) -> Decision:
        """Return whether a rule of the user's allows that."""
        known = (user.name, user.groups, asked)
        if (decision := self.decisions.get(known)) is None:
            if len(self.decisions) >= MOST_REMEMBERED:
                self.decisions = {}
            decision = self.decisions[known] = self._decide(user, asked)
        return decision

    def _decide(self, user: User, asked: Attributes) -> Decision:
        grants = self.grants(user, asked.namespace)
        for each in grants.rules:
            if allows(each.rule, asked):
                return Decision(True, f"RBAC: allowed by {each.source}")
        told = grants.faults[0] if len(grants.faults) == 1 else f"[{', '.join(grants.faults)}]"
        return Decision(False, f"RBAC: {told}" if grants.faults else "")

    def grants(self, user: User, namespace: str) -> Grants:
        """Return the rules that the user has in a namespace, those of the whole cluster first."""
        known = (user.name, user.groups, namespace)
        if known not in self.granted:
            if len(self.granted) >= MOST_REMEMBERED:
                self.granted = {}
            found: list[Grant] = []
            faults: dict[str, None] = {}
            for binding in [*self._bindings(""), *(self._bindings(namespace) if namespace else ())]:
                if (subject := subject_of(binding, user)) is None:
                    continue
                rules = self.rules_of(binding["roleRef"], objects.namespace(binding))
                if rules is None:
                    faults[missing(binding["roleRef"])] = None
                source = described(binding, subject)
                found += [Grant(rule, source) for rule in rules or ()]
            self.granted[known] = Grants(tuple(found), tuple(faults))
        return self.granted[known]

    def _bindings(self, namespace: str) -> list[dict]:
        if namespace not in self.bindings:
            resource = ROLE_BINDINGS if namespace else CLUSTER_ROLE_BINDINGS
            rows, _ = self.store.rows(prefix(resource, namespace))
            self.bindings[namespace] = [orjson.loads(row.value) for row in rows]
        return self.bindings[namespace]

    def rules_of(self, reference: dict, namespace: str) -> list[dict] | None:
        """Return the rules of the role that a binding names, None if there is no such role."""
        at = key(ROLES, namespace, reference["name"])
        row = self.store.get(at if reference["kind"] == "Role" else key(CLUSTER_ROLES, "", reference["name"]))
        return (orjson.loads(row.value).get("rules") or []) if row else None


def missing(reference: dict) -> str:
    return f'{reference["kind"].lower()}.rbac.authorization.k8s.io "{reference["name"]}" not found'


def subject_of(binding: dict, user: User) -> dict | None:
    """Return the subject of the binding that the user is, or belongs to."""
    return next((each for each in binding.get("subjects") or () if is_subject(each, user, binding)), None)


def is_subject(subject: dict, user: User, binding: dict) -> bool:
    if subject["kind"] == "Group":
        return subject["name"] in user.groups
    if subject["kind"] == "ServiceAccount":
        namespace = subject.get("namespace") or objects.namespace(binding)
        return bool(namespace) and user.name == tokens.username(namespace, subject["name"])
    return subject["kind"] == "User" and subject["name"] == user.name


def described(binding: dict, subject: dict) -> str:
    """Return by what a rule is given, in words."""
    name, namespace = objects.name(binding), objects.namespace(binding)
    bound = f'RoleBinding "{name}/{namespace}"' if namespace else f'ClusterRoleBinding "{name}"'
    role, who = binding["roleRef"], subject["name"]
    if subject["kind"] == "ServiceAccount":
        who += f"/{subject.get('namespace') or namespace}"
    return f'{bound} of {role["kind"]} "{role["name"]}" to {subject["kind"]} "{who}"'


# --- rules


def allows(rule: dict, asked: Attributes) -> bool:
    """Tell whether a rule allows what is asked."""
    if not _holds(rule.get("verbs"), asked.verb):
        return False
    if asked.path is not None:
        return any(url_matches(url, asked.path) for url in rule.get("nonResourceURLs") or ())
    named = rule.get("resourceNames")
    return (
        _holds(rule.get("apiGroups"), asked.group)
        and any(resource_matches(each, asked) for each in rule.get("resources") or ())
        and (not named or asked.name in named)
    )


def _holds(given: list[str] | None, wanted: str) -> bool:
    return given is not None and (wanted in given or "*" in given)


def resource_matches(given: str, asked: Attributes) -> bool:
    """Tell whether a rule's resource is the one that is asked for; "*/scale" is every resource's scale."""
    return given in ("*", asked.combined) or bool(asked.subresource and given == f"*/{asked.subresource}")


def url_matches(given: str, path: str) -> bool:
    return given in ("*", path) or (given.endswith("*") and path.startswith(given.rstrip("*")))
