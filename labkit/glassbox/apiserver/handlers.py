"""The table from (subresource, verb) to the function that answers.

Every handler is a plain function (Request, Api) -> Answer. It runs from beginning to end on the one thread of the
server, so what it read is still true when it writes. Watches and logs are streams; the server knows those two itself.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/installer.go
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver import (
    access_reviews,
    component_statuses,
    deletion,
    eviction,
    patch,
    reads,
    reviews,
    subresources,
    writes,
)
from labkit.glassbox.apiserver.auth import ITSELF
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.apiserver.routes import parse

HANDLERS: dict[tuple[str, str], Callable[[Request, Api], Answer]] = {
    ("", "get"): reads.get,
    ("", "list"): reads.list_,
    ("", "create"): writes.create,
    ("", "update"): writes.update,
    ("", "patch"): patch.patch,
    ("", "delete"): deletion.delete,
    ("", "deletecollection"): deletion.delete_collection,
    **{
        (subresource, verb): handler
        for subresource in ("status", "ephemeralcontainers", "resize", "approval")
        for verb, handler in (("get", reads.get), ("update", writes.update), ("patch", patch.patch))
    },
    ("eviction", "create"): eviction.evict,
    **subresources.HANDLERS,
    ("token", "create"): reviews.token_request,
}
# Kinds that nobody stores have a handler each.
COMPUTED = {
    **reviews.HANDLERS,
    **access_reviews.HANDLERS,
    **component_statuses.HANDLERS,
    "bindings": subresources.bind_named,
}


def handle(request: Request, api: Api) -> Answer:
    """Answer a request to a resource. Raises ApiError."""
    route = request.route
    handler = COMPUTED.get(request.resource.called) or HANDLERS.get((route.subresource, route.verb))
    if handler is None:
        raise errors.method_not_allowed()
    return handler(request, api)


def handle_itself(method: str, path: str, obj: dict | None, api: Api) -> Answer:
    """Do what the server wants of itself. Raises ApiError."""
    route = parse(method, path)
    assert route is not None, path
    body = orjson.dumps(obj) if obj else b""
    return handle(Request(method, route, route.served, {}, body=body, user=ITSELF), api)
