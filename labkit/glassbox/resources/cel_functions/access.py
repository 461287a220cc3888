"""The authorizer in CEL: may who sent the request, or a service account, do something else as well.

Whoever asks an expression says first who decides (`DECIDE`).

Upstream: staging/src/k8s.io/apiserver/pkg/cel/library/authz.go
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from labkit.glassbox.resources.validation import names

NARROWED = ("subresource", "namespace", "name", "fieldSelector", "labelSelector")
DECIDE: ContextVar[Callable[[dict, dict], tuple[bool, str]]] = ContextVar("decide")  # user, asked → allowed, why


class Authorizer(dict):
    """Who is asked about: name, uid, groups, extra."""


class PathCheck(dict):
    """A user and the path of a URL."""


class GroupCheck(dict):
    """A user and an API group."""


class ResourceCheck(dict):
    """A user and a resource, narrowed down."""


class Decision(dict):
    """Whether it is allowed, and why."""


def path(who: Authorizer, given: str) -> PathCheck:
    return PathCheck(user=dict(who), path=_some(given, "path"))


def group(who: Authorizer, given: str) -> GroupCheck:
    return GroupCheck(user=dict(who), group=given)


def service_account(who: Authorizer, namespace: str, name: str) -> Authorizer:
    if names.dns_subdomain(name):
        raise ValueError("Invalid service account name")
    if names.dns_label(namespace):
        raise ValueError("Invalid service account namespace")
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return Authorizer(name=f"system:serviceaccount:{namespace}:{name}", groups=groups)


def resource(asked: GroupCheck, given: str) -> ResourceCheck:
    return ResourceCheck(asked, resource=_some(given, "resource"))


def narrowed(field: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    return lambda asked, given: ResourceCheck(asked, **{field: given})


def check(asked: PathCheck | ResourceCheck, verb: str) -> Decision:
    given = {name: value for name, value in asked.items() if name != "user"}
    allowed, reason = DECIDE.get()(asked["user"], {**given, "verb": verb})
    return Decision(allowed=allowed, reason=reason)


def _some(given: str, what: str) -> str:
    if not given.strip():
        raise ValueError(f"{what} must not be empty")
    return given
