"""Service accounts' tokens: JSON Web Tokens that say who a pod is, for whom the token is meant, and until when.

Whoever holds the key file signs (the API server, and the controller that fills old-style token Secrets); whoever knows
the public half can check. Whether what a token is bound to still exists only the API server can tell.

Invariants: `read` returns claims only under a signature of this key; `cryptography` is imported with the first token,
not with this module. ES256 instead of upstream's usual RS256: upstream takes either, and an RSA key costs `up` a
twentieth of a second.

Upstream: pkg/serviceaccount/{jwt,claims,legacy,openidmetadata}.go
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from labkit.glassbox import objects

ISSUER = "https://kubernetes.default.svc.cluster.local"
LEGACY_ISSUER = "kubernetes/serviceaccount"
ALGORITHM = "ES256"
WARN_AFTER = 3607  # seconds: the odd lifetime by which the API server knows a token that a pod was given unasked
EXTENDED = 365 * 24 * 3600  # seconds that such a token really lives, for clients that never read it again
WIDTH = 32  # bytes of each of a signature's two numbers


class BadToken(Exception):
    """A token that proves nothing, in upstream's words."""


class SigningKey:
    """The private key in a PEM file, read when it is first needed."""

    def __init__(self, path: Path):
        self.path = path
        self.read = lru_cache(maxsize=1024)(self._read)  # a signature that held once holds for ever

    @cached_property
    def private(self) -> Any:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        return load_pem_private_key(self.path.read_bytes(), None)

    @cached_property
    def jwk(self) -> dict[str, str]:
        """The public half as a JSON Web Key; its id is a hash of it, as upstream's."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self.private.public_key()
        numbers = public.public_numbers()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        x, y = (encoded(number.to_bytes(WIDTH, "big")) for number in (numbers.x, numbers.y))
        kid = encoded(hashlib.sha256(der).digest())
        return {"use": "sig", "kty": "EC", "kid": kid, "crv": "P-256", "alg": ALGORITHM, "x": x, "y": y}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the token that says this."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        signed = f"{_part({'alg': ALGORITHM, 'kid': self.jwk['kid']})}.{_part(claims)}"
        r, s = utils.decode_dss_signature(self.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encoded(r.to_bytes(WIDTH, 'big') + s.to_bytes(WIDTH, 'big'))}"

    def _read(self, token: str) -> dict[str, Any]:
        """Return the claims of a token. Raises BadToken."""
        try:
            head, body, signature = (decoded(part) for part in token.split("."))
            header, claims = json.loads(head), json.loads(body)
        except ValueError:
            raise BadToken("") from None
        if not isinstance(claims, dict) or claims.get("iss") not in (ISSUER, LEGACY_ISSUER):
            raise BadToken("")
        if not isinstance(header, dict) or header.get("alg") != ALGORITHM or not self._holds(token, signature):
            raise BadToken("go-jose/go-jose: error in cryptographic primitive")
        return claims

    def _holds(self, token: str, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        r, s = (int.from_bytes(half, "big") for half in (signature[:WIDTH], signature[WIDTH:]))
        try:
            signed = token.rpartition(".")[0].encode()
            self.private.public_key().verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def claims_of(
    account: dict,
    bound: Mapping[str, dict],
    audiences: Sequence[str],
    now: float,
    seconds: int,
) -> dict[str, Any]:
    """Return what a token of a service account says; `bound` holds what it ends with: a pod, a secret, a node."""
    issued = int(now)
    extended = seconds == WARN_AFTER and "pod" in bound and list(audiences) == [ISSUER]
    private: dict[str, Any] = {"namespace": objects.namespace(account)}
    private |= {kind: {"name": objects.name(obj), "uid": objects.uid(obj)} for kind, obj in bound.items()}
    private["serviceaccount"] = {"name": objects.name(account), "uid": objects.uid(account)}
    if extended:
        private["warnafter"] = issued + seconds
    return {
        "aud": list(audiences),
        "exp": issued + (EXTENDED if extended else seconds),
        "iat": issued,
        "iss": ISSUER,
        "jti": str(uuid.uuid4()),
        "kubernetes.io": private,
        "nbf": issued,
        "sub": username(objects.namespace(account), objects.name(account)),
    }


def legacy_claims(account: dict, secret: dict) -> dict[str, str]:
    """Return what the token in a Secret says: it lives as long as the Secret."""
    namespace, name = objects.namespace(account), objects.name(account)
    told = {"namespace": namespace, "secret.name": objects.name(secret), "service-account.name": name}
    told["service-account.uid"] = objects.uid(account)
    prefixed = {f"kubernetes.io/serviceaccount/{field}": value for field, value in told.items()}
    return {"iss": LEGACY_ISSUER, **prefixed, "sub": username(namespace, name)}


def username(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def groups(namespace: str) -> tuple[str, ...]:
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Return the bytes of a token's part; raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _part(value: Mapping[str, Any]) -> str:
    return encoded(json.dumps(value, separators=(",", ":")).encode())
