"""Fills Secrets of type kubernetes.io/service-account-token: a token that lives as long as its Secret, the old way.

Nobody makes such a Secret unasked any more; who wants a token that does not expire makes one that names its account.
A Secret whose account is gone, or is another of the same name, goes too.

Upstream: pkg/controller/serviceaccount/tokens_controller.go
"""

from __future__ import annotations

import base64

from labkit.glassbox import objects, tokens
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.errors import ApiError
from labkit.glassbox.tokens import SigningKey

TYPE = "kubernetes.io/service-account-token"
NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


class TokenSecretController(Controller):
    """The key is a Secret."""

    name = "serviceaccount-token-controller"

    def __init__(self, api, cache, recorder, signing_key: SigningKey, root_ca: str):
        self.signing_key, self.root_ca = signing_key, root_ca
        super().__init__(api, cache, recorder)

    @property
    def watches(self):
        own = lambda secret: itself(secret) if is_for_token(secret) else []  # noqa: E731
        return {"secrets": own, "serviceaccounts": self.secrets_of}

    def secrets_of(self, account: dict) -> list[str]:
        """Return the keys of the token Secrets that name the account."""
        found = self.cache["secrets"].list(objects.namespace(account))
        return [objects.key(each) for each in found if is_for_token(each) and account_of(each) == objects.name(account)]

    def reconcile(self, key: str) -> None:
        secret = self.cache["secrets"].get(key)
        if secret is None or objects.is_deleting(secret) or not is_for_token(secret):
            return
        account = self.find_account(secret)
        if account is None:
            self.remove(secret)
        elif data := missing(secret, account, self.signing_key, self.root_ca):
            annotations = {**objects.annotations(secret), UID: objects.uid(account)}
            metadata = {**secret["metadata"], "annotations": annotations}
            self.api.update("secrets", {**secret, "metadata": metadata, "data": {**(secret.get("data") or {}), **data}})

    def find_account(self, secret: dict) -> dict | None:
        """Return the account that the Secret names, as the API knows it: the copy may be behind."""
        try:
            account = self.api.get("serviceaccounts", account_of(secret), objects.namespace(secret))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return account if objects.annotations(secret).get(UID) in (None, "", objects.uid(account)) else None

    def remove(self, secret: dict) -> None:
        try:
            where = objects.name(secret), objects.namespace(secret)
            self.api.delete("secrets", *where, uid=objects.uid(secret))
        except ApiError as error:
            if error.code not in (404, 409):  # it is gone, another has its name
                raise


def is_for_token(secret: dict) -> bool:
    return secret.get("type") == TYPE


def account_of(secret: dict) -> str:
    return objects.annotations(secret).get(NAME, "")


def missing(secret: dict, account: dict, signing_key: SigningKey, root_ca: str) -> dict[str, str]:
    """Return what the Secret lacks: token, authority, namespace."""
    held = secret.get("data") or {}
    wanted = {"ca.crt": lambda: root_ca, "namespace": lambda: objects.namespace(secret)}
    wanted["token"] = lambda: signing_key.sign(tokens.legacy_claims(account, secret))
    return {field: base64.b64encode(make().encode()).decode() for field, make in wanted.items() if not held.get(field)}
