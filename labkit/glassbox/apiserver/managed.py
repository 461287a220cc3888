"""The edge of server-side apply: who writes, in which versions a kind is served, what clients say of managedFields.

Upstream: staging/src/k8s.io/apimachinery/pkg/util/managedfields/internal/{fieldmanager,skipnonapplied}.go,
…/apiserver/pkg/endpoints/handlers/create.go
"""

from __future__ import annotations

from functools import lru_cache

from labkit.glassbox import clock
from labkit.glassbox.apiserver.definitions import REFERENCE
from labkit.glassbox.apiserver.fields import managers, shapes
from labkit.glassbox.apiserver.fields.managers import Entry, View, Writer
from labkit.glassbox.apiserver.fields.sets import Fields
from labkit.glassbox.apiserver.fields.shapes import Shape
from labkit.glassbox.apiserver.objects_at_rest import as_served, stored, to_stored
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.resources import REGISTRY, Resource

LONGEST_NAME = 128  # bytes
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def track(request: Request, api: Api, obj: dict, old: dict | None) -> list[Entry]:
    """Return the entries after this write, which is no apply; take what the client said of them out of obj.

    An object that nobody manages stays so: only its creation, or an apply, begins to keep managers.
    """
    sent = obj["metadata"].pop("managedFields", None)
    entries = (old["metadata"].get("managedFields") or []) if old else []
    if sent is not None and sent != entries and not through(request):
        entries = as_sent(sent, entries)
    if old and not entries:
        return []
    writer = writer_of(request, api)
    return managers.updated(old or empty(request.resource), obj, entries, writer, views_of(request.resource))


def as_sent(sent: list, held: list[Entry]) -> list[Entry]:
    """Return the entries that a client sent: none, if it resets them; those held, if what it sent cannot be read."""
    if sent in ([], [{}]):
        return []
    try:
        return managers.read(sent) or held
    except ValueError:
        return held


def through(request: Request) -> str:
    """Return the subresource by which the write came."""
    return request.through or request.route.subresource


def writer_of(request: Request, api: Api, operation: str = managers.UPDATE) -> Writer:
    return Writer(
        name=request.query.get("fieldManager") or name_of(request.user_agent) or "unknown",
        api_version=request.resource.api_version,
        time=clock.rfc3339(api.clock.now()),
        operation=operation,
        subresource=through(request),
        resets=resets(request.resource, request.route.subresource),
    )


def name_of(user_agent: str) -> str:
    """Return a program's name as a manager's: what stands before the first slash, as far as it fits."""
    printable = "".join(each for each in user_agent.partition("/")[0] if each.isprintable())
    return printable.encode()[:LONGEST_NAME].decode(errors="ignore")


@lru_cache(maxsize=512)
def resets(resource: Resource, subresource: str) -> Fields:
    """Return what a write through this subresource leaves as it is, whatever it says."""
    strategy = resource.strategy
    if subresource == "status":
        return {"f:spec": {}, "f:metadata": {f"f:{name}": {} for name in strategy.status_resets}}
    return {"f:status": {}} if strategy.has_status and not subresource else {}


@lru_cache(maxsize=512)
def shape_of(resource: Resource) -> Shape:
    """Return the shape of a kind, published or custom."""
    if not resource.custom:
        return shapes.named(resource.definition)
    schema, text = resource.custom.schema, {"type": "string"}
    properties = {**schema.get("properties", {}), "apiVersion": text, "kind": text}
    return shapes.shape_of({**schema, "properties": properties | {"metadata": {"$ref": REFERENCE + OBJECT_META}}})


@lru_cache(maxsize=512)
def views_of(resource: Resource) -> managers.Views:
    """Return how each version of a kind sees the objects of this one."""

    def view(api_version: str) -> View | None:
        if api_version == resource.api_version:
            return View(shape_of(resource))
        other = REGISTRY.for_kind(api_version, resource.kind)
        if other is None or stored(other) is not stored(resource):
            return None
        return View(
            shape_of(other),
            lambda obj: as_served(other, to_stored(resource, obj)),
            lambda obj: as_served(resource, to_stored(other, obj)),
        )

    return view


def empty(resource: Resource) -> dict:
    """Return an object that says nothing, to which a new one is compared."""
    return {"metadata": {}} if resource.custom else shapes.zero(shape_of(resource))
