"""Who asks: the first filter of every request. Whether they may is the next one's matter (authorization/).

A client certificate signed by the client CA speaks for its common name, its organisations are groups. A bearer token is
looked up in the token file (token,user,uid,"group,group"). No credential is system:anonymous. Service accounts'
tokens: token_authenticator.py.

Invariants: a wrong token is 401, never anonymous; who shows a certificate is believed, whatever token comes with it.

Upstream: staging/src/k8s.io/apiserver/pkg/authentication, …/pkg/endpoints/filters/authentication.go
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.glassbox import errors
from labkit.glassbox.tokens import BadToken

MASTERS = "system:masters"
ANYBODY = "system:authenticated"


@dataclass(frozen=True)
class User:
    """An authenticated (or the anonymous) user."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, list[str]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))
ITSELF = User("system:apiserver", groups=(MASTERS, ANYBODY))  # the API server, to itself


def read_tokens(path: Path | None) -> dict[str, User]:
    """Return token -> user of a static token file."""
    if path is None:
        return {}
    users = {}
    with path.open(newline="") as file:
        for token, name, uid, *rest in csv.reader(file):
            groups = tuple(group.strip() for group in rest[0].split(",")) if rest else ()
            users[token] = User(name, uid, (*filter(None, groups), ANYBODY))
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


def authenticate(authorization: str, told: Callable[[str], Any], owner: Callable[[str], User]) -> User:
    """Return who asks, by the certificate of a connection or by a token. Raises ApiError 401 for one that nobody has.

    `told` is asyncio's get_extra_info of that connection.
    """
    if certificate := told("peercert"):
        return _user_of(certificate, told("ssl_object").getpeercert(True))
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return ANONYMOUS
    try:
        return owner(token.strip())
    except BadToken:
        raise errors.unauthorized() from None


def _user_of(certificate: Mapping[str, Any], encoded: bytes) -> User:
    names = [pair for group in certificate.get("subject", ()) for pair in group]
    name = next((value for key, value in names if key == "commonName"), "")
    groups = tuple(value for key, value in names if key == "organizationName")
    extra = {"authentication.kubernetes.io/credential-id": [f"X509SHA256={hashlib.sha256(encoded).hexdigest()}"]}
    return User(name, groups=(*groups, ANYBODY), extra=extra)
