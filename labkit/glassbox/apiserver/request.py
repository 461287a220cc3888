"""A request and an answer, as the handlers see them: no sockets, no HTTP library.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/rest.go
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver.auth import ANONYMOUS, User
from labkit.glassbox.apiserver.configured_hooks import ConfiguredHooks
from labkit.glassbox.apiserver.routes import Route
from labkit.glassbox.clock import Clock
from labkit.glassbox.resources import Resource
from labkit.glassbox.store import Store

if TYPE_CHECKING:
    from labkit.glassbox.apiserver.authorization import Authorizer
    from labkit.glassbox.apiserver.token_authenticator import TokenAuthenticator

APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True)
class KubeletAccess:
    """What the API server shows to kubelets, and how it knows them."""

    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None


@dataclass
class Api:
    """What every handler works on."""

    store: Store
    clock: Clock
    tokens: TokenAuthenticator
    authorizer: Authorizer
    kubelets: KubeletAccess = field(default_factory=KubeletAccess)
    service_range: str = "10.96.0.0/16"
    advertise_address: str = ""  # at which pods reach this server; "" for nowhere
    watchers: Counter[str] = field(default_factory=Counter)  # user → how many watches are open
    hooks: ConfiguredHooks = field(init=False)

    def __post_init__(self) -> None:
        self.hooks = ConfiguredHooks(self.store)


@dataclass
class Request:
    """One request to a resource, authenticated and authorized."""

    method: str
    route: Route
    resource: Resource
    query: Mapping[str, str]
    accept: str = ""
    content_type: str = ""
    body: bytes = b""
    user: User = ANONYMOUS
    user_agent: str = ""
    warnings: list[str] = field(default_factory=list)
    said: dict[tuple, Any] = field(default_factory=dict)  # what webhooks have said of this request so far
    drawn: dict[str, str] = field(default_factory=dict)  # by lot, for whenever it is handled anew
    reviewed: bool = True  # False: its webhooks have been asked about it in another form
    through: str = ""  # the subresource by which a write of the whole object came

    @property
    def dry_run(self) -> bool:
        return "dryRun" in self.query

    @property
    def field_validation(self) -> str:
        return self.query.get("fieldValidation", "") or "Warn"

    @property
    def is_apply(self) -> bool:
        return self.method == "PATCH" and self.content_type.partition(";")[0].strip() == APPLY_PATCH

    def check_options(self, kind: str) -> None:
        """Refuse bad query options of a write. Raises ApiError 422."""
        causes = []
        if self.query.get("dryRun", "All") != "All":
            given = f'["{self.query["dryRun"]}"]'
            causes.append(_unsupported("dryRun", given, '"All"'))
        if self.query.get("fieldValidation", "") not in ("", "Ignore", "Strict", "Warn"):
            given = f'"{self.query["fieldValidation"]}"'
            causes.append(_unsupported("fieldValidation", given, '"", "Ignore", "Strict", "Warn"'))
        if self.is_apply and not self.query.get("fieldManager"):
            message = "Required value: is required for apply patch"
            causes.append(errors.Cause("FieldValueRequired", message, "fieldManager"))
        if kind == "PatchOptions" and "force" in self.query and not self.is_apply:
            message = "Forbidden: may not be specified for non-apply patch"
            causes.append(errors.Cause("FieldValueForbidden", message, "force"))
        causes += _manager_faults(self.query.get("fieldManager", ""))
        if causes:
            raise errors.invalid(kind, "meta.k8s.io", "", causes)


def _manager_faults(manager: str) -> list[errors.Cause]:
    """Return what is wrong with a field manager's name."""
    if len(manager.encode()) > 128:
        return [errors.Cause("FieldValueTooLong", "Too long: may not be more than 128 bytes", "fieldManager")]
    for at, character in enumerate(manager):
        if not character.isprintable():
            shown = orjson.dumps(manager).decode()
            told = f"Invalid value: {shown}: invalid character U+{ord(character):04X} (at position {at})"
            return [errors.Cause("FieldValueInvalid", told, "fieldManager")]
    return []


def _unsupported(name: str, given: str, supported: str) -> errors.Cause:
    return errors.Cause("FieldValueNotSupported", f"Unsupported value: {given}: supported values: {supported}", name)


@dataclass
class Answer:
    """What a handler returns: an object as a dict, or as the bytes in which it is stored."""

    code: int = 200
    obj: dict[str, Any] | None = None
    raw: bytes | None = None
    is_list: bool = False
