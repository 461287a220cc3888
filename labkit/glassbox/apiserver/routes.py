"""From method and path to what is asked: verb, resource, namespace, name, subresource.

The table that upstream builds from its REST storages follows here from the declarations in `resources`.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go, …/installer.go
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from labkit.glassbox import errors
from labkit.glassbox.resources import REGISTRY, SUBRESOURCES, Resource

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
COLLECTION_VERBS = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}


@dataclass(frozen=True)
class Route:
    """What a request asks for.

    `resource` is None when nothing is served there; the names are kept, for authorization.
    """

    verb: str
    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    resource: Resource | None = None

    @property
    def served(self) -> Resource:
        """Return the resource. Raises ApiError 404 if the path leads to none."""
        found = self.resource
        if found is None:
            raise errors.no_such_path()
        if self.subresource and self.subresource not in found.subresources:
            gone = errors.not_found(found.plural, self.name, found.group)
            raise gone if found.custom else errors.no_such_path()
        if bool(self.namespace) != found.namespaced and (self.namespace or self.name):
            raise errors.no_such_path()
        return found


@lru_cache(maxsize=4096)
def parse(method: str, path: str, is_watch: bool = False) -> Route | None:
    """Return the route of a resource path, None for any other path."""
    if "//" in path:
        return None
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    return _below_version(method, group, version, rest, is_watch)


REGISTRY.listeners.append(parse.cache_clear)


def _below_version(method: str, group: str, version: str, rest: list[str], is_watch: bool) -> Route:
    namespace = ""
    old_watch = rest[0] == "watch" and len(rest) > 1 and method == "GET"  # the watches of before `?watch=1`
    rest = rest[1:] if old_watch else rest
    if rest[0] == "namespaces" and len(rest) > 2 and not _is_namespace_subresource(rest):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = rest[0], "/".join(rest[1:2]), "/".join(rest[2:])
    if subresource.startswith("proxy/"):  # what follows is for what is behind the object
        subresource = "proxy"
    table = VERBS if name else COLLECTION_VERBS
    verb = table.get(method, method.lower())
    if old_watch or (is_watch and verb == "list"):
        verb = "watch"
    resource = REGISTRY.at(group, version, plural)
    if "/" in name:
        resource = None
    return Route(verb, group, version, plural, namespace, name, subresource, resource)


def _is_namespace_subresource(rest: list[str]) -> bool:
    return len(rest) == 3 and rest[2] in ("status", "finalize")


def flag(query: Mapping[str, str], name: str) -> bool:
    """Tell whether an option is on: given, and neither `0` nor `false`; empty, or Python's `True`, is on."""
    return query.get(name, "0").lower() not in ("0", "false")


ON_COLLECTIONS = ("list", "watch", "create", "deletecollection")


def check_method(route: Route, method: str) -> None:
    """Raise ApiError 405 where upstream has no route for the method."""
    resource = route.served
    allowed = SUBRESOURCES[route.subresource].verbs if route.subresource else resource.verbs
    misplaced = route.verb != "watch" and not route.subresource and (route.verb in ON_COLLECTIONS) == bool(route.name)
    if method in ("HEAD", "OPTIONS") or route.verb not in allowed or misplaced:
        raise errors.method_not_allowed()
