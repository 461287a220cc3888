"""Who asks, and may they: the first two filters of every request.

A bearer token is looked up in the token file (token,user,uid,"group,group"); a client certificate signed by the
client CA speaks for its common name, its organisations are groups. No credential is system:anonymous. Service accounts'
tokens: token_authenticator.py.

Invariants: a wrong token is 401, never anonymous; a request without rights learns nothing but that it has none.
Left out: RBAC. Members of system:masters may do everything, everybody may read what says whether the server lives.

Upstream: staging/src/k8s.io/apiserver/pkg/authentication, …/pkg/endpoints/filters/{authentication,authorization}.go
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.glassbox import errors
from labkit.glassbox.apiserver.routes import Route
from labkit.glassbox.tokens import BadToken

MASTERS = "system:masters"
PUBLIC = ("/livez", "/readyz", "/healthz", "/version", "/version/")
DISCOVERY = ("/api", "/apis", "/openapi/")  # system:discovery: any authenticated user
ACCOUNTS, ISSUER_PAGES = "system:serviceaccounts", ("/.well-known/openid-configuration", "/openid/v1/jwks")
FOR_ALL = ("selfsubjectreviews",)  # system:basic-user


@dataclass(frozen=True)
class User:
    """An authenticated (or the anonymous) user."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, list[str]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))


def read_tokens(path: Path | None) -> dict[str, User]:
    """Return token -> user of a static token file."""
    if path is None:
        return {}
    users = {}
    with path.open(newline="") as file:
        for token, name, uid, *rest in csv.reader(file):
            groups = tuple(group.strip() for group in rest[0].split(",")) if rest else ()
            users[token] = User(name, uid, (*filter(None, groups), "system:authenticated"))
    return users


class TokenFile:
    """The file's users; it is read again when a token is not known and the file has changed: a node was added."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.changed = path, 0
        self.users: dict[str, User] = {}

    def get(self, token: str) -> User | None:
        """Return whose the token is."""
        if token not in self.users and self.path and (changed := self.path.stat().st_mtime_ns) != self.changed:
            self.users, self.changed = read_tokens(self.path), changed
        return self.users.get(token)


def authenticate(authorization: str, certificate: Mapping[str, Any] | None, owner: Callable[[str], User]) -> User:
    """Return who asks. Raises ApiError 401 for a token that nobody has."""
    if certificate:
        return _user_of(certificate)
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return ANONYMOUS
    try:
        return owner(token.strip())
    except BadToken:
        raise errors.unauthorized() from None


def _user_of(certificate: Mapping[str, Any]) -> User:
    names = [pair for group in certificate.get("subject", ()) for pair in group]
    name = next((value for key, value in names if key == "commonName"), "")
    groups = tuple(value for key, value in names if key == "organizationName")
    return User(name, groups=(*groups, "system:authenticated"))


def authorize(user: User, method: str, path: str, route: Route | None) -> None:
    """Raise ApiError 403 unless the user may do this."""
    if MASTERS in user.groups:
        return
    if route is not None:
        if route.plural in FOR_ALL and route.verb == "create" and user is not ANONYMOUS:
            return
        raise _forbidden_resource(user, route)
    if path in PUBLIC or path.startswith(("/livez/", "/readyz/", "/healthz/")):
        return
    if user is not ANONYMOUS and path.startswith(DISCOVERY):
        return
    if ACCOUNTS in user.groups and path.rstrip("/") in ISSUER_PAGES:
        return
    raise errors.ApiError(
        403, "Forbidden", f'forbidden: User "{user.name}" cannot {_path_verb(method)} path "{path}"', {}
    )


def _path_verb(method: str) -> str:
    return method.lower()


def _forbidden_resource(user: User, route: Route) -> errors.ApiError:
    what = f"{route.plural}/{route.subresource}" if route.subresource else route.plural
    where = f'in the namespace "{route.namespace}"' if route.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {route.verb} resource "{what}" in API group "{route.group}" {where}'
    return errors.forbidden(route.plural, route.name, why, route.group)
