"""Deletes what no longer has an owner.

Ownership is a reference by UID from the dependent. Three ways to delete an owner, told apart by finalizers that the API
server sets: background (the owner goes at once, dependents follow), foreground (the owner stays, marked, until its
dependents are gone), orphan (the dependents lose their reference and stay).

An owner that the copies do not show is asked for at the API before anything is deleted: a copy may be behind.

Upstream: pkg/controller/garbagecollector/garbagecollector.go, graph_builder.go
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import REGISTRY

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
LOOK_AGAIN = 1.0  # seconds
REMEMBERED = 500  # owners
IGNORED = ("events",)  # they name what they are about, but nobody owns them


def collected() -> list[str]:
    """Return the kinds that may own or be owned."""
    every = [each for each in REGISTRY.all() if each.is_primary and "delete" in each.verbs]
    return [each.called for each in every if each.called not in IGNORED]


class GarbageCollector(Controller):
    """A key is "resource namespace/name"."""

    name = "garbage-collector-controller"
    workers = 5

    def __init__(self, *arguments) -> None:
        # Owners that are known to have gone: of one whose kind is no longer served, nobody could be asked.
        self.absent: deque[str] = deque(maxlen=REMEMBERED)
        super().__init__(*arguments)

    @property
    def watches(self):
        return {resource: self._concerned_by(resource) for resource in collected()}

    def _concerned_by(self, resource: str):
        """A change concerns the object itself, its dependents when it has gone, an owner that waits for it to go."""

        def keys(obj: dict) -> Iterator[str]:
            if objects.owners(obj) or is_waiting(obj, FOREGROUND) or is_waiting(obj, ORPHAN):
                yield f"{resource} {objects.key(obj)}"
            copy = self.cache.get(resource)
            is_gone = copy is None or copy.get(objects.key(obj)) is None
            if is_gone:
                self.absent.append(objects.uid(obj))
            if is_gone or is_waiting(obj, FOREGROUND):
                yield from (f"{kind} {objects.key(each)}" for kind, each in self.dependents(obj))
            yield from (f"{kind} {key}" for kind, key in self.waiting_owners(obj))

        return keys

    def dependents(self, owner: dict) -> list[tuple[str, dict]]:
        """Return (resource, object) of all that name this owner."""
        uid = objects.uid(owner)
        copies = [(resource, self.cache.get(resource)) for resource in collected()]
        return [(resource, obj) for resource, copy in copies if copy is not None for obj in copy.owned_by(uid)]

    def waiting_owners(self, obj: dict) -> Iterator[tuple[str, str]]:
        for reference in objects.owners(obj):
            if found := self.cached_owner(obj, reference):
                resource, owner = found
                if is_waiting(owner, FOREGROUND):
                    yield resource, objects.key(owner)

    def cached_owner(self, obj: dict, reference: dict) -> tuple[str, dict] | None:
        kind = REGISTRY.for_kind(reference["apiVersion"], reference["kind"])
        copy = self.cache.get(kind.called) if kind else None
        if kind is None or copy is None:
            return None
        key = f"{objects.namespace(obj)}/{reference['name']}" if kind.namespaced else reference["name"]
        owner = copy.get(key)
        return (kind.called, owner) if owner and objects.uid(owner) == reference["uid"] else None

    # -- one object

    def reconcile(self, key: str) -> None:
        resource, _, name = key.partition(" ")
        copy = self.cache.get(resource)
        obj = copy.get(name) if copy else None
        if obj is None:
            return  # also when its kind is no longer served
        if is_waiting(obj, ORPHAN):
            self.orphan(resource, obj)
        elif is_waiting(obj, FOREGROUND):
            self.finish_foreground(resource, obj)
        elif objects.owners(obj) and not objects.is_deleting(obj):
            self.judge(resource, obj)

    def judge(self, resource: str, obj: dict) -> None:
        """Delete the object if no owner is left to keep it, else drop its references to those that are gone."""
        owners = [(reference, self.state(obj, reference)) for reference in objects.owners(obj)]
        if any(state == "solid" and not self.cached_owner(obj, reference) for reference, state in owners):
            # The copy is behind, or has just been begun: who goes before it is complete is never told of.
            self.queue.add_after(f"{resource} {objects.key(obj)}", LOOK_AGAIN)
        if any(state == "unknown" for _, state in owners):
            return  # better one object too many than one lost
        if not any(state == "solid" for _, state in owners):
            waits = any(state == "waiting" for _, state in owners)
            has_dependents = bool(self.dependents(obj))
            self.delete(resource, obj, "Foreground" if waits and has_dependents else None)
            return
        gone = [reference["uid"] for reference, state in owners if state != "solid"]
        if gone:
            self.drop_references(resource, obj, gone)

    def state(self, obj: dict, reference: dict) -> str:
        """Return what an owner is: solid, waiting (for its dependents), absent or unknown."""
        if reference["uid"] in self.absent:
            return "absent"
        found = self.cached_owner(obj, reference)
        owner = found[1] if found else self.live_owner(obj, reference)
        if owner is None:
            return "absent"
        if owner == {}:
            return "unknown"
        return "waiting" if is_waiting(owner, FOREGROUND) else "solid"

    def live_owner(self, obj: dict, reference: dict) -> dict | None:
        """Ask the API: None when it is gone, {} when nobody can tell: a namespaced owner of what has no namespace.

        Raises ApiError 404 for a kind that is not served: a custom one may be by and by, so the key comes back.
        """
        kind = REGISTRY.for_kind(reference["apiVersion"], reference["kind"])
        if kind is None:
            told = f'no matches for kind "{reference["kind"]}" in version "{reference["apiVersion"]}"'
            raise ApiError(404, "NotFound", told)
        if kind.namespaced and not objects.namespace(obj):
            return {}
        namespace = objects.namespace(obj) if kind.namespaced else None
        try:
            owner = self.api.get(kind.group_plural, reference["name"], namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            return None
        return owner if objects.uid(owner) == reference["uid"] else None

    def finish_foreground(self, resource: str, owner: dict) -> None:
        """Let a waiting owner go once no dependent blocks it; its dependents' own keys delete them."""
        blocking = [each for _, each in self.dependents(owner) if blocks(each, owner)]
        if not blocking:
            self.api.remove_finalizer(full(resource), owner, FOREGROUND)

    def orphan(self, resource: str, owner: dict) -> None:
        for kind, dependent in self.dependents(owner):
            self.drop_references(kind, dependent, [objects.uid(owner)])
        self.api.remove_finalizer(full(resource), owner, ORPHAN)

    # -- writes

    def delete(self, resource: str, obj: dict, policy: str | None) -> None:
        try:
            self.api.delete(
                full(resource),
                objects.name(obj),
                objects.namespace(obj),
                uid=objects.uid(obj),
                propagation_policy=policy,
            )
        except ApiError as error:
            if error.code not in (404, 409):  # it is gone, another has its name
                raise

    def drop_references(self, resource: str, obj: dict, uids: list[str]) -> None:
        kept = [each for each in objects.owners(obj) if each["uid"] not in uids]
        # The resource version is a precondition: the list is replaced as it was read.
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"], "ownerReferences": kept or None}
        try:
            self.api.patch(full(resource), objects.name(obj), objects.namespace(obj), {"metadata": metadata})
        except ApiError as error:
            if error.code != 404:
                raise


def is_waiting(obj: dict, finalizer: str) -> bool:
    """Tell whether the object is being deleted and this finalizer keeps it."""
    return objects.is_deleting(obj) and finalizer in (obj["metadata"].get("finalizers") or [])


def blocks(dependent: dict, owner: dict) -> bool:
    references = [each for each in objects.owners(dependent) if each["uid"] == objects.uid(owner)]
    return any(each.get("blockOwnerDeletion") for each in references)


def full(plural: str) -> str:
    return REGISTRY.find(plural).group_plural
