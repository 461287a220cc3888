"""Reads an EncryptionConfiguration, and follows its file: a good change is in force within POLL seconds without a
restart, a bad one is logged and the old one stays. Without the file nothing is encrypted; one that is taken away stays
in force until the next start.

To rotate: put a new key first, then write every object again (kubectl get secrets -A -o json | kubectl replace -f -);
the store seals an object's older revisions along with it. What was read before its key was taken away stays readable
until the API server starts again.

Upstream: staging/src/k8s.io/apiserver/pkg/server/options/encryptionconfig/config.go, …/pkg/apis/apiserver/validation
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.glassbox.apiserver.encryption import IDENTITY, PROVIDERS, Configuration, Transformer
from labkit.glassbox.apiserver.objects_at_rest import prefix
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.validation.fields import invalid, required
from labkit.glassbox.store import MARK, Store, collection_of

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between looks at the file
API_VERSIONS = ("apiserver.config.k8s.io/v1", "v1")
REDACTED = "REDACTED"


class ConfigurationError(Exception):
    """An EncryptionConfiguration that cannot be used, in upstream's words."""


def parse(text: str) -> Configuration:
    """Return what an EncryptionConfiguration says. Raises ConfigurationError."""
    import yaml

    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"error decoding encryption provider configuration file: {error}") from None
    kind = (config.get("apiVersion"), config.get("kind")) if isinstance(config, dict) else (None, None)
    if kind[0] not in API_VERSIONS or kind[1] != "EncryptionConfiguration":
        raise ConfigurationError(f'no kind "{kind[1]}" is registered for version "{kind[0]}"')
    if causes := list(faults(config)):
        told = ", ".join(f"{cause.field}: {cause.message}" for cause in causes)
        raise ConfigurationError(f"[{told}]" if len(causes) > 1 else told)
    return Configuration(_by_collection(config["resources"]))


def _by_collection(rules: list[dict]) -> dict[str, tuple[Transformer, ...]]:
    """The first rule that names a resource holds for it."""
    found = {}
    for rule in reversed(rules):
        transformers = tuple(each for provider in rule["providers"] for each in _transformers(provider))
        for resource in REGISTRY.all():
            if any(_names(name, resource.group, resource.plural) for name in rule["resources"]):
                found[collection_of(prefix(resource))] = transformers
    return found


def _names(pattern: str, group: str, plural: str) -> bool:
    """`secrets`, `deployments.apps`; `*.` is all of the core group, `*.apps` of another, `*.*` everything."""
    name, _, wanted = pattern.partition(".")
    return name in ("*", plural) and (wanted == group or (name == "*" and wanted == "*"))


def _transformers(provider: dict) -> Iterator[Transformer]:
    [(name, settings)] = provider.items()
    if name == "identity":
        yield IDENTITY
        return
    for key in settings["keys"]:
        seal, open = PROVIDERS[name][0](base64.b64decode(key["secret"]))
        yield Transformer(b"%s%s:v1:%s:" % (MARK, name.encode(), key["name"].encode()), seal, open)


def faults(config: Any) -> Iterator[Cause]:
    """Yield what is wrong with a configuration."""
    if not config.get("resources"):
        yield required("resources", "at least one resource is required")
    for index, rule in enumerate(config.get("resources") or []):
        at = f"resources[{index}]"
        for field in ("resources", "providers"):
            if not rule.get(field):
                yield required(f"{at}.{field}", f"at least one {at}.{field} is required")
        for number, provider in enumerate(rule.get("providers") or []):
            yield from _provider_faults(provider, f"{at}.providers[{number}]")


def _provider_faults(provider: dict, at: str) -> Iterator[Cause]:
    known = [name for name in provider if name in (*PROVIDERS, "identity")]
    if "kms" in provider:
        yield invalid(f"{at}.kms", REDACTED, "kms is not implemented by this API server")
    elif not known:
        told = "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity"
        yield required(at, told)
    elif len(provider) > 1:
        told = "more than one provider specified in a single element, should split into different list elements"
        yield invalid(at, REDACTED, told)
    elif known != ["identity"]:
        keys = (provider[known[0]] or {}).get("keys") or []
        if not keys:
            yield required(f"{at}.{known[0]}.keys", "at least one keys is required")
        for index, key in enumerate(keys):
            yield from _key_faults(key, f"{at}.{known[0]}.keys[{index}]", PROVIDERS[known[0]][1])


def _key_faults(key: dict, at: str, lengths: tuple[int, ...]) -> Iterator[Cause]:
    for field in ("name", "secret"):
        if not key.get(field):
            yield required(f"{at}.{field}", f"{field} is a mandatory field for a key")
    try:
        size = len(base64.b64decode(key.get("secret") or "", validate=True))
    except ValueError:
        yield invalid(f"{at}.secret", REDACTED, "secrets must be base64 encoded")
        return
    if key.get("secret") and size not in lengths:
        expected = " ".join(map(str, lengths))
        told = f"secret is not of the expected length, got {size}, expected one of [{expected}]"
        yield invalid(f"{at}.secret", REDACTED, told)


class Watched:
    """A configuration that follows its file."""

    def __init__(self, path: Path | None):
        self.path, self.seen = path, b""

    def read(self) -> Configuration | None:
        """Return what the file says, None if it says what it said last or never was there.

        Raises ConfigurationError.
        """
        try:
            text = self.path.read_bytes() if self.path else b""
        except FileNotFoundError:
            return None
        if text == self.seen:
            return None
        self.seen = text
        try:
            return parse(text.decode())
        except (ConfigurationError, ValueError) as error:
            told = f'error while parsing encryption provider configuration file "{self.path}"'
            raise ConfigurationError(f"{told}: error while parsing file: {error}") from None

    async def follow(self, store: Store) -> None:
        """Give the store each new configuration, for ever, and have it erase what it sealed anew."""
        while self.path:
            await asyncio.sleep(POLL)
            try:
                if new := self.read():
                    store.at_rest, store.has_traces = new, True
                    log.info("reloaded the encryption configuration from %s", self.path)
            except (ConfigurationError, OSError) as error:
                log.error("the encryption configuration stays as it was: %s", error)
            store.erase_traces()
