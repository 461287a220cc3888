"""Acting as another: `kubectl --as` sends headers that say as whom.

Who may is told by rules: the verb `impersonate` on users, groups, serviceaccounts, uids and userextras, for all that
the other may do; or, narrower, `impersonate:MODE` on the same and `impersonate-on:MODE:VERB` on what is asked for. The
mode is what the other is: user-info, serviceaccount, arbitrary-node. What was asked for is never ignored.

Left out: the mode associated-node.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/filters/impersonation
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from labkit.glassbox import errors, tokens
from labkit.glassbox.apiserver.auth import ANONYMOUS, User
from labkit.glassbox.apiserver.authorization import Attributes, Authorizer

PREFIX, EXTRA = "impersonate-", "impersonate-extra-"
ACCOUNT = "system:serviceaccount:"
MODES = {ACCOUNT: "serviceaccount", "system:node:": "arbitrary-node"}
AUTHENTICATION = "authentication.k8s.io"


def acting(user: User, headers: Any, asked: Attributes, authorizer: Authorizer) -> User:
    """Return the user as whom the request is to be answered. Raises ApiError 400 or 403."""
    told = [(name.lower(), value) for name, value in headers.items() if name.lower().startswith(PREFIX)]
    if not told:
        return user
    wanted = _wanted(told)
    if not wanted.name:
        groups = ", ".join(f'"{each}"' for each in wanted.groups)
        shown = f'&user.DefaultInfo{{Name:"", UID:"{wanted.uid}", Groups:[]string{{{groups}}}, '
        shown += "Extra:map[string][]string(nil)}"
        raise errors.bad_request(f"requested {shown} without impersonating a user name")
    if not all(authorizer.decide(user, each).allowed for each in claims(wanted, "impersonate")):
        _require_constrained(user, wanted, asked, authorizer)
    return replace(wanted, groups=_groups(wanted)) if wanted.name != ANONYMOUS.name else ANONYMOUS


def _require_constrained(user: User, wanted: User, asked: Attributes, authorizer: Authorizer) -> None:
    mode = next((mode for prefix, mode in MODES.items() if wanted.name.startswith(prefix)), "user-info")
    authorizer.require(user, replace(asked, verb=f"impersonate-on:{mode}:{asked.verb}"))
    for each in claims(wanted, f"impersonate:{mode}"):
        authorizer.require(user, replace(each, group=AUTHENTICATION))


def claims(wanted: User, verb: str) -> Iterator[Attributes]:
    """Yield what must be allowed for each part of the other's identity."""
    if wanted.name.startswith(ACCOUNT):
        namespace, _, name = wanted.name.removeprefix(ACCOUNT).partition(":")
        yield Attributes(verb, resource="serviceaccounts", namespace=namespace, name=name)
    else:
        yield Attributes(verb, resource="users", name=wanted.name)
    for group in wanted.groups:
        yield Attributes(verb, resource="groups", name=group)
    if wanted.uid:
        yield Attributes(verb, AUTHENTICATION, "uids", name=wanted.uid)
    for key, values in wanted.extra.items():
        for value in values:
            yield Attributes(verb, AUTHENTICATION, "userextras", key, name=value)


def _wanted(told: list[tuple[str, str]]) -> User:
    single = dict(told)
    groups = tuple(value for name, value in told if name == "impersonate-group")
    extra: dict[str, list[str]] = {}
    for name, value in told:
        if name.startswith(EXTRA):
            extra.setdefault(unquote(name.removeprefix(EXTRA)), []).append(value)
    return User(single.get("impersonate-user", ""), single.get("impersonate-uid", ""), groups, extra)


def _groups(wanted: User) -> tuple[str, ...]:
    """Return the groups that are asked for, and those that such a user always has."""
    if wanted.name.startswith(ACCOUNT) and not wanted.groups:
        return tokens.groups(wanted.name.removeprefix(ACCOUNT).partition(":")[0])
    return tuple(dict.fromkeys((*wanted.groups, "system:authenticated")))
