"""The table from (subresource, verb) to the function that answers.

Every handler is a plain function (Request, Api) -> Answer. It runs from beginning to end on the one thread of the
server, so what it read is still true when it writes. Watches and logs are streams; the server knows those two itself.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/installer.go
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.glassbox import errors
from labkit.glassbox.apiserver import access_reviews, deletion, eviction, patch, reads, reviews, subresources, writes
from labkit.glassbox.apiserver.request import Answer, Api, Request

HANDLERS: dict[tuple[str, str], Callable[[Request, Api], Answer]] = {
    ("", "get"): reads.get,
    ("", "list"): reads.list_,
    ("", "create"): writes.create,
    ("", "update"): writes.update,
    ("", "patch"): patch.patch,
    ("", "delete"): deletion.delete,
    ("", "deletecollection"): deletion.delete_collection,
    ("status", "get"): reads.get,
    ("status", "update"): writes.update,
    ("status", "patch"): patch.patch,
    ("ephemeralcontainers", "get"): reads.get,
    ("ephemeralcontainers", "update"): writes.update,
    ("ephemeralcontainers", "patch"): patch.patch,
    ("eviction", "create"): eviction.evict,
    **subresources.HANDLERS,
    ("token", "create"): reviews.token_request,
}
REVIEWS = {**reviews.HANDLERS, **access_reviews.HANDLERS}


def handle(request: Request, api: Api) -> Answer:
    """Answer a request to a resource. Raises ApiError."""
    route = request.route
    handler = REVIEWS.get(request.resource.called) or HANDLERS.get((route.subresource, route.verb))
    if handler is None:
        raise errors.method_not_allowed()
    return handler(request, api)
