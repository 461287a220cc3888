"""The paths of the OpenAPI v3 documents, with the operations that clients look for and generators make methods of.

Left out: the paths under /watch, which are deprecated and not served.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/installer.go, …/pkg/endpoints/openapi/openapi.go
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labkit.glassbox.apiserver.definitions import definitions
from labkit.glassbox.resources import SUBRESOURCES, Resource

COMPONENTS = "#/components/schemas/"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
FREE_FORM, DELETE_OPTIONS, STATUS = META + "Patch", META + "DeleteOptions", META + "Status"
PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
VERBS = {  # verb → (method, what generators call it, x-kubernetes-action)
    "list": ("get", "list", "list"),
    "create": ("post", "create", "post"),
    "deletecollection": ("delete", "delete", "deletecollection"),
    "get": ("get", "read", "get"),
    "update": ("put", "replace", "put"),
    "patch": ("patch", "patch", "patch"),
    "delete": ("delete", "delete", "delete"),
}
ON_COLLECTIONS = ("list", "create", "deletecollection")
CONNECTIONS = ("exec", "attach", "portforward", "proxy")
WRITING = {"dryRun": "string", "fieldManager": "string", "fieldValidation": "string"}
DELETING = {"dryRun": "string", "gracePeriodSeconds": "integer", "propagationPolicy": "string"}
LISTING = {
    **dict.fromkeys(("continue", "fieldSelector", "labelSelector", "resourceVersion"), "string"),
    **{"resourceVersionMatch": "string", "limit": "integer", "timeoutSeconds": "integer"},
    **dict.fromkeys(("allowWatchBookmarks", "sendInitialEvents", "watch"), "boolean"),
}
QUERIES = {
    "list": LISTING,
    "deletecollection": {**LISTING, **DELETING},
    "delete": DELETING,
    **dict.fromkeys(("create", "update", "patch"), WRITING),
}
PATH_PARAMETERS = {
    "name": "name of the {kind}",
    "namespace": "object name and auth scope, such as for teams and projects",
    "path": "path to the resource",
}


def paths_of(resource: Resource) -> dict[str, dict]:
    """Return the paths of a resource's collections, of one object and of its subresources, with their operations."""
    namespace = "{namespace}" if resource.namespaced else None
    found: dict[str, dict] = {}
    for verb in VERBS:
        if verb in resource.verbs:
            path = resource.path(namespace, None if verb in ON_COLLECTIONS else "{name}")
            _add(found, path, verb, resource)
    if namespace and "list" in resource.verbs:
        _add(found, resource.path(), "list", resource)
    for name in resource.subresources:
        path = resource.path(namespace, "{name}", name)
        for each in (path, f"{path}/{{path}}") if name == "proxy" else (path,):
            for verb in sorted(SUBRESOURCES[name].verbs):
                _add(found, each, verb, resource, name)
    return found


def _add(found: dict[str, dict], path: str, verb: str, resource: Resource, sub: str = "") -> None:
    item = found.setdefault(path, {"parameters": _parameters(path, resource.kind)})
    item[VERBS[verb][0]] = _operation(path, verb, resource, sub)


def _parameters(path: str, kind: str) -> list[dict]:
    """Return the parameters that a path has in braces."""
    unique = {"type": "string", "uniqueItems": True}
    return [
        {"name": name, "in": "path", "description": told.format(kind=kind), "required": True, "schema": unique}
        for name, told in PATH_PARAMETERS.items()
        if f"{{{name}}}" in path
    ]


def _operation(path: str, verb: str, resource: Resource, sub: str) -> dict:
    """Return what OpenAPI says of a verb: the kind, the options, the bodies."""
    group, version, kind = _meant(resource, sub)
    is_connection = sub in CONNECTIONS
    answer = (
        {"*/*": {"schema": {"type": "string"}}}
        if is_connection or sub == "log"
        else content(["application/json"], _answered(verb, resource, sub))
    )
    told: dict[str, Any] = {
        "operationId": _called(path, verb, resource, sub),
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}
            for name, kind in ({} if is_connection else QUERIES.get(verb, {})).items()
        ],
        "responses": {"200": {"description": "OK", "content": answer}},
        "x-kubernetes-action": "connect" if is_connection else VERBS[verb][2],
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    }
    if not is_connection and (body := dict(_bodies(verb, resource, sub))):
        told["requestBody"] = {"required": not verb.startswith("delete"), "content": body}
    return {name: value for name, value in told.items() if value}


def _bodies(verb: str, resource: Resource, sub: str) -> Iterator[tuple[str, dict]]:
    if verb == "patch":
        taken = [each for each in PATCHES if not (resource.custom and "strategic" in each)]
        yield from content(taken, FREE_FORM).items()
    elif verb in ("create", "update"):
        yield from content(["*/*"], _definition(resource, sub)).items()
    elif verb in ("delete", "deletecollection"):
        yield from content(["*/*"], DELETE_OPTIONS).items()


def _called(path: str, verb: str, resource: Resource, sub: str) -> str:
    """Return the name under which generators make a method: "listCoreV1NamespacedPod"."""
    method, name, _ = VERBS[verb]
    group = group_name(resource.group)
    where = "Namespaced" if "{namespace}" in path else ""
    after = "ForAllNamespaces" if resource.namespaced and not where else "WithPath" if "{path}" in path else ""
    if sub in CONNECTIONS:
        group, name = f"{group}{resource.version.capitalize()}{method.capitalize()}", "connect"
    else:
        group += resource.version.capitalize()
    if verb == "deletecollection":
        name, where = "delete", f"Collection{where}"
    return f"{name}{group}{where}{resource.kind}{sub.capitalize()}{after}"


def group_name(group: str) -> str:
    """Return a group as it stands in the names of operations: "RbacAuthorization"."""
    return "".join(part.capitalize() for part in (group or "core").removesuffix(".k8s.io").split("."))


def _meant(resource: Resource, sub: str) -> tuple[str, str, str]:
    """Return the group, version and kind that an operation is about."""
    below = SUBRESOURCES.get(sub)
    if below is None or not below.kind:
        return resource.group, resource.version, resource.kind
    own = (below.group, below.version) if below.group else (resource.group, resource.version)
    return *own, below.kind_below(resource.kind)


def _definition(resource: Resource, sub: str) -> str:
    group, version, kind = _meant(resource, sub)
    own = resource.definition
    return own if kind == resource.kind else f"io.k8s.api.{(group or 'core').partition('.')[0]}.{version}.{kind}"


def _answered(verb: str, resource: Resource, sub: str) -> str:
    if verb == "list":
        return resource.definition + "List"
    return STATUS if verb in ("delete", "deletecollection") else _definition(resource, sub)


def referred(resource: Resource) -> list[str]:
    """Return the definitions that a resource's operations refer to."""
    below = [_definition(resource, name) for name in resource.subresources]
    return [resource.definition, resource.definition + "List", *below, FREE_FORM, DELETE_OPTIONS, STATUS]


def content(media: list[str], name: str) -> dict:
    known = name in definitions()  # else the definitions are not part of Kubernetes': metrics
    return {each: {"schema": {"$ref": COMPONENTS + name} if known else {"type": "object"}} for each in media}
