"""Whose a bearer token is: a line of the token file, or a service account by a signed token.

A signed token is worth as much as what it is bound to: the account, and the pod, secret or node that it names, must
still be there under the same UID.

Left out: noting when an old-style token was last used.

Upstream: pkg/serviceaccount/claims.go, …/legacy.go, pkg/kubeapiserver/authenticator/config.go
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from labkit.glassbox import objects, tokens
from labkit.glassbox.apiserver.auth import TokenFile, User
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.clock import Clock
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.store import Store
from labkit.glassbox.tokens import BadToken, SigningKey

LEEWAY = 60.0  # seconds by which clocks may differ, and an object may already be being deleted
INVALIDATED = "service account token has been invalidated"
EXTRA = "authentication.kubernetes.io/"
BOUND = {"secret": "secrets", "pod": "pods", "node": "nodes"}


@dataclass(frozen=True)
class Verified:
    """What a good token proves."""

    user: User
    audiences: tuple[str, ...]


class TokenAuthenticator:
    """Checks tokens against a file's lines, a signing key and the store."""

    def __init__(self, known: TokenFile | Mapping[str, User], signing_key: SigningKey, store: Store, clock: Clock):
        self.known, self.signing_key, self.store, self.clock = known, signing_key, store, clock

    def verify(self, token: str, audiences: Sequence[str] = (tokens.ISSUER,)) -> Verified:
        """Return whose the token is, for one of these audiences. Raises BadToken."""
        if user := self.known.get(token):
            return Verified(user, _common((tokens.ISSUER,), audiences))
        claims = self.signing_key.read(token)
        if claims["iss"] == tokens.LEGACY_ISSUER:
            return Verified(self._legacy(token, claims), _common((tokens.ISSUER,), audiences))
        common = _common(claims["aud"], audiences)
        self._check_time(claims)
        return Verified(self._bound(claims), common)

    def _check_time(self, claims: dict) -> None:
        now = self.clock.now()
        if now > claims["exp"] + LEEWAY:
            raise BadToken("service account token has expired")
        if now < claims["nbf"] - LEEWAY:
            raise BadToken("service account token is not valid yet")

    def _bound(self, claims: dict) -> User:
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        self._check_account(namespace, account["name"], account["uid"])
        for kind in BOUND.keys() & private.keys():
            if kind != "node" or "pod" not in private:  # a pod's token only tells the node
                self._check_bound(kind, namespace, private[kind])
        extra = {f"{EXTRA}credential-id": [f"JTI={claims['jti']}"]}
        for kind in ("node", "pod"):
            for field, value in private.get(kind, {}).items():
                extra[f"{EXTRA}{kind}-{field}"] = [value]
        name = tokens.username(namespace, account["name"])
        return User(name, account["uid"], tokens.groups(namespace), extra)

    def _check_account(self, namespace: str, name: str, uid: str) -> None:
        account = self._get("serviceaccounts", namespace, name)
        if account is None:
            raise BadToken(f'serviceaccounts "{name}" not found')
        if self._is_gone(account):
            raise BadToken(INVALIDATED)
        if objects.uid(account) != uid:
            raise BadToken(f"service account UID ({objects.uid(account)}) does not match claim ({uid})")

    def _check_bound(self, kind: str, namespace: str, claim: dict) -> None:
        obj = self._get(BOUND[kind], "" if kind == "node" else namespace, claim["name"])
        if obj is None or self._is_gone(obj):
            raise BadToken(INVALIDATED)
        if objects.uid(obj) != claim["uid"]:
            told = f"{kind} UID ({objects.uid(obj)}) does not match service account {kind} ref claim ({claim['uid']})"
            raise BadToken(told)

    def _legacy(self, token: str, claims: dict) -> User:
        told = {field.rpartition("/")[2]: value for field, value in claims.items()}
        namespace, name, uid = told["namespace"], told["service-account.name"], told["service-account.uid"]
        secret = self._get("secrets", namespace, told["secret.name"])
        held = ((secret or {}).get("data") or {}).get("token", "")
        if secret is None or self._is_gone(secret) or base64.b64decode(held).decode() != token:
            raise BadToken(INVALIDATED)
        self._check_account(namespace, name, uid)
        return User(tokens.username(namespace, name), uid, tokens.groups(namespace))

    def _get(self, plural: str, namespace: str, name: str) -> dict | None:
        row = self.store.get(key(REGISTRY.find(plural), namespace, name))
        return orjson.loads(row.value) if row else None

    def _is_gone(self, obj: dict) -> bool:
        return objects.deleted_before(obj, self.clock.now() - LEEWAY)


def _common(held: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the audiences that a token is for and that are asked for. Raises BadToken if there is none."""
    common = tuple(each for each in held if each in wanted)
    if not common:
        shown = [" ".join(f'"{each}"' for each in names) for names in (held, wanted)]
        raise BadToken(f"token audiences [{shown[0]}] is invalid for the target audiences [{shown[1]}]")
    return common
