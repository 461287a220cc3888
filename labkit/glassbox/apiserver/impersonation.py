"""Acting as another: `kubectl --as` sends headers that say as whom.

Without roles only members of system:masters may. What was asked for is never ignored: who may not is refused.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/filters/impersonation
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from labkit.glassbox import errors, tokens
from labkit.glassbox.apiserver.auth import ANONYMOUS, MASTERS, User, authorize
from labkit.glassbox.apiserver.routes import Route

PREFIX, EXTRA = "impersonate-", "impersonate-extra-"
ACCOUNT = "system:serviceaccount:"


def acting(user: User, headers: Any, path: str, route: Route | None) -> User:
    """Return the user as whom the request is to be answered. Raises ApiError 400 or 403."""
    asked = [(name.lower(), value) for name, value in headers.items() if name.lower().startswith(PREFIX)]
    if not asked:
        return user
    wanted = _wanted(asked)
    if not wanted.name:
        groups = ", ".join(f'"{each}"' for each in wanted.groups)
        shown = f'&user.DefaultInfo{{Name:"", UID:"{wanted.uid}", Groups:[]string{{{groups}}}, '
        shown += "Extra:map[string][]string(nil)}"
        raise errors.bad_request(f"requested {shown} without impersonating a user name")
    if MASTERS not in user.groups:
        on = replace(route, verb=f"impersonate-on:user-info:{route.verb}") if route else None
        authorize(user, "impersonate", path, on)
    return replace(wanted, groups=_groups(wanted)) if wanted.name != ANONYMOUS.name else ANONYMOUS


def _wanted(asked: list[tuple[str, str]]) -> User:
    told = dict(asked)
    groups = tuple(value for name, value in asked if name == "impersonate-group")
    extra: dict[str, list[str]] = {}
    for name, value in asked:
        if name.startswith(EXTRA):
            extra.setdefault(unquote(name.removeprefix(EXTRA)), []).append(value)
    return User(told.get("impersonate-user", ""), told.get("impersonate-uid", ""), groups, extra)


def _groups(wanted: User) -> tuple[str, ...]:
    """Return the groups that are asked for, and those that such a user always has."""
    if wanted.name.startswith(ACCOUNT) and not wanted.groups:
        return tokens.groups(wanted.name.removeprefix(ACCOUNT).partition(":")[0])
    return tuple(dict.fromkeys((*wanted.groups, "system:authenticated")))
