"""Encryption at rest: how which objects lie in the store.

A sealed value begins with its mark, `k8s:enc:PROVIDER:v1:KEY:`, as in etcd. The first transformer of a resource writes,
all of them read. What an EncryptionConfiguration may say is read by encryption_config.py.

Invariants: a value is authentic or unreadable with aesgcm and secretbox, aescbc only hides it (as upstream).
`cryptography` and `nacl` are imported by whoever configures a provider.
Left out: kms.

Upstream: staging/src/k8s.io/apiserver/pkg/storage/value/encrypt, …/pkg/storage/value/transformer.go
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from labkit.glassbox.store import MARK, Unreadable, collection_of


@dataclass(frozen=True)
class Transformer:
    """One key of one provider."""

    mark: bytes
    seal: Callable[[bytes, bytes], bytes]  # (value, key in the store) -> sealed
    open: Callable[[bytes, bytes], bytes]  # raises ValueError


def _aescbc(key: bytes) -> tuple[Callable, Callable]:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    def seal(value: bytes, at: bytes) -> bytes:
        iv, padder = os.urandom(16), PKCS7(128).padder()
        encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        return iv + encryptor.update(padder.update(value) + padder.finalize()) + encryptor.finalize()

    def open(data: bytes, at: bytes) -> bytes:
        if len(data) < 32 or len(data) % 16:
            raise ValueError("the stored data is not a multiple of the block size")
        decryptor, unpadder = Cipher(algorithms.AES(key), modes.CBC(data[:16])).decryptor(), PKCS7(128).unpadder()
        try:
            return unpadder.update(decryptor.update(data[16:]) + decryptor.finalize()) + unpadder.finalize()
        except ValueError:
            raise ValueError("invalid padding on input") from None

    return seal, open


def _aesgcm(key: bytes) -> tuple[Callable, Callable]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    def seal(value: bytes, at: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(key).encrypt(nonce, value, at)

    def open(data: bytes, at: bytes) -> bytes:
        try:
            return AESGCM(key).decrypt(data[:12], data[12:], at)
        except (InvalidTag, ValueError):
            raise ValueError("cipher: message authentication failed") from None

    return seal, open


def _secretbox(key: bytes) -> tuple[Callable, Callable]:
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    def seal(value: bytes, at: bytes) -> bytes:
        return bytes(SecretBox(key).encrypt(value))

    def open(data: bytes, at: bytes) -> bytes:
        try:
            return SecretBox(key).decrypt(data)
        except (CryptoError, ValueError):
            raise ValueError("output array was not large enough for encryption") from None

    return seal, open


PROVIDERS = {"aesgcm": (_aesgcm, (16, 24, 32)), "aescbc": (_aescbc, (16, 24, 32)), "secretbox": (_secretbox, (32,))}
IDENTITY = Transformer(b"", lambda value, at: value, lambda data, at: data)


@dataclass(frozen=True)
class Configuration:
    """Which transformers are for which collections: the first writes, all read."""

    by_collection: dict[str, tuple[Transformer, ...]]

    def mark(self, key: str) -> bytes:
        """Return what a value written now begins with."""
        return self._for(key)[0].mark

    def seal(self, key: str, value: bytes) -> bytes:
        """Return the value as it is to lie in the store."""
        first = self._for(key)[0]
        return first.mark + first.seal(value, key.encode())

    def open(self, key: str, data: bytes) -> bytes:
        """Return what a stored value says. Raises Unreadable."""
        for each in self._for(key):
            if data.startswith(each.mark) and (each.mark or not data.startswith(MARK)):
                try:
                    return each.open(data[len(each.mark) :], key.encode())
                except ValueError as error:
                    raise Unreadable(key, str(error)) from None
        raise Unreadable(key, "no matching prefix found")

    def _for(self, key: str) -> tuple[Transformer, ...]:
        return self.by_collection.get(collection_of(key), (IDENTITY,))


UNENCRYPTED = Configuration({})
