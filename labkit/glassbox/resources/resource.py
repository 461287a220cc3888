"""What a kind is: one declaration from which routing, storage keys, discovery and tables follow.

Stands for the rest.Storage wiring of kube-apiserver. A Resource says how a kind is named and
what may be done with it; its Strategy says what happens to an object on the way into the store.

Invariants: declarations are frozen and hold no state; two resources never share (group, version, plural).

Upstream: pkg/registry/*/rest/storage_*.go, staging/src/k8s.io/apiserver/pkg/registry/rest/rest.go
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.glassbox.resources.strategy import Strategy

if TYPE_CHECKING:
    from labkit.glassbox.resources.custom_resource import Custom

DERIVED = "from the kind"
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`.

    `describes` is a field path of the kind's definition ("spec.replicas"), whose published description
    the column repeats; `description` overrides it. Priority 1 shows with `-o wide` alone.
    """

    name: str
    value: Callable[[dict, float], Any]  # (object, now in epoch seconds) -> cell
    describes: str = ""
    description: str = ""
    type: str = "string"
    format: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Subresource:
    """How discovery lists a subresource; an empty kind means its parent's, and {parent} in one is the parent's name."""

    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = ""

    def kind_below(self, parent: str) -> str:
        """Return the kind below a parent of the kind `parent`."""
        return self.kind.format(parent=parent) or parent


_WRITABLE = ("get", "patch", "update")
SUBRESOURCES = {
    "status": Subresource(_WRITABLE),
    "scale": Subresource(_WRITABLE, "Scale", "autoscaling", "v1"),
    "finalize": Subresource(("update",)),
    "binding": Subresource(("create",), "Binding"),
    "log": Subresource(("get",)),
    "eviction": Subresource(("create",), "Eviction", "policy", "v1"),
    "ephemeralcontainers": Subresource(_WRITABLE),
    "resize": Subresource(_WRITABLE),
    "approval": Subresource(_WRITABLE),
    "exec": Subresource(("create", "get"), "PodExecOptions"),
    "attach": Subresource(("create", "get"), "PodAttachOptions"),
    "proxy": Subresource(("create", "delete", "get", "patch", "update"), "{parent}ProxyOptions"),
    "portforward": Subresource(("create", "get"), "PodPortForwardOptions"),
    "token": Subresource(("create",), "TokenRequest", "authentication.k8s.io", "v1"),
}


@dataclass(frozen=True)
class Resource:
    """One kind that the API server stores and serves."""

    kind: str
    plural: str
    strategy: Strategy
    group: str = ""  # the core group
    version: str = "v1"
    namespaced: bool = True
    singular: str = DERIVED
    definition: str = DERIVED  # key in the published definitions: "io.k8s.api.core.v1.Pod"
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    row_conditions: Callable[[dict], list[dict]] = lambda obj: []  # what a Table says of a row
    field_labels: tuple[str, ...] = ()  # besides metadata.name and metadata.namespace
    storage_version: str = ""  # in which upstream stores the kind, where that is another
    deprecated: str = ""  # what every answer warns of
    # Where the objects are stored, when another resource shows the same ones (events.k8s.io shows core events), and how
    # the fields of one become those of the other; kind and apiVersion apart.
    stored_as: tuple[str, str, str] | None = None
    to_stored: Callable[[dict], dict] = dict
    from_stored: Callable[[dict], dict] = dict
    custom: Custom | None = None  # what a CustomResourceDefinition says, for a kind that one defines

    def __hash__(self) -> int:
        """Tables of kinds are looked into at each request; what names one is enough to find it."""
        return hash((self.group, self.version, self.plural))

    def __post_init__(self) -> None:
        package = self.group.partition(".")[0] or "core"
        derived = {
            "singular": self.kind.lower(),
            "definition": f"io.k8s.api.{package}.{self.version}.{self.kind}",
        }
        for name, value in derived.items():
            if getattr(self, name) == DERIVED:
                object.__setattr__(self, name, value)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage_version_hash(self) -> str:
        """What changes when a kind is stored in another version; "" of one that is not stored."""
        if "create" not in self.verbs or "watch" not in self.verbs:
            return ""
        group, version = self.stored_as[:2] if self.stored_as else (self.group, self.storage_version or self.version)
        return base64.b64encode(hashlib.sha256(f"{group}/{version}/{self.kind}".encode()).digest()[:8]).decode()

    @property
    def group_plural(self) -> str:
        """The name in error texts: "pods", "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def called(self) -> str:
        """The plural that tells a kind from all others: a custom resource may have that of a declared one."""
        return self.group_plural if self.custom else self.plural

    @property
    def is_primary(self) -> bool:
        """Tell whether this is the one of its kind's versions through which all its objects are handled."""
        return self.custom.is_primary if self.custom else self.stored_as is None

    @property
    def selectable(self) -> tuple[str, ...]:
        """The field selector paths: metadata's (a namespace's too, of a built-in kind without others), then its own."""
        has_namespace = self.namespaced or not (self.field_labels or self.custom)
        return ("metadata.name", *(("metadata.namespace",) if has_namespace else ()), *self.field_labels)

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, an object or its subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(parts)
