"""What a request asks for, as authorizers see it, and what they answer.

Upstream: staging/src/k8s.io/apiserver/pkg/authorization/authorizer/interfaces.go, …/endpoints/request/requestinfo.go
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.glassbox import selectors
from labkit.glassbox.apiserver.routes import Route
from labkit.glassbox.errors import ApiError

SELECTING = ("list", "watch", "deletecollection")


@dataclass(frozen=True, slots=True)
class Attributes:
    """A verb, and the resource or (with `path`) the URL that it is about."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str | None = None
    fields: tuple[tuple[str, str], ...] = ()  # what a field selector demands to be equal

    @property
    def combined(self) -> str:
        """The resource as rules name it: "pods/log"."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes, or not yes; and why."""

    allowed: bool
    reason: str = ""


def attributes_of(method: str, path: str, route: Route | None, query: Mapping[str, str]) -> Attributes:
    """Return what a request asks for."""
    if route is None:
        return Attributes(method.lower(), path=path)
    name = route.name
    fields: tuple[tuple[str, str], ...] = ()
    if route.verb in SELECTING and (selector := query.get("fieldSelector")):
        fields = demanded(selector)
        name = name or dict(fields).get("metadata.name", "")  # who asks for one object by a selector asks for that one
    # upstream reads a namespace's path as one in that namespace, so a role there may let one see it
    namespace = route.name if (route.group, route.plural) == ("", "namespaces") else route.namespace
    return Attributes(route.verb, route.group, route.plural, route.subresource, namespace, name, None, fields)


def demanded(selector: str) -> tuple[tuple[str, str], ...]:
    """Return the fields that a selector wants to be equal to a value; none of a selector that cannot be read."""
    try:
        terms = selectors.parse_fields(selector).terms
    except ApiError:
        return ()
    return tuple((path, value) for path, operator, value in terms if operator == "=")
