"""Which objects are a controller's own: it adopts orphans that its selector matches, and releases what no longer does.

Ownership is the owner reference with `controller: true`; labels only say who may have it. Before the first orphan is
adopted the owner is asked for at the API: the copy may not show yet that it is being deleted, and what it adopted then
would be deleted with it.

Upstream: pkg/controller/controller_ref_manager.go
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from labkit.glassbox import objects, selectors
from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError
from labkit.glassbox.informer import Informer
from labkit.glassbox.resources import REGISTRY


class Claimants:
    """Whom a change to an object concerns: its owner, the one that it left, of an orphan each one that might adopt it.

    An object that has left its owner no longer tells whom it left; so that is remembered here.
    """

    def __init__(self, kind: str, owners: Informer, claimed: Informer):
        self.kind, self.owners, self.claimed = kind, owners, claimed
        self.had: dict[str, str] = {}  # UID of an object → key of its owner

    def keys(self, obj: dict) -> Iterator[str]:
        """Yield the keys of the owners that a change to the object concerns."""
        reference, uid = objects.controller_of(obj), objects.uid(obj)
        if had := self.had.pop(uid, None):
            yield had
        if reference is None:
            found = self.owners.list(objects.namespace(obj))
            yield from (objects.key(owner) for owner in found if selects(owner, obj))
        elif reference["kind"] == self.kind:
            key = f"{objects.namespace(obj)}/{reference['name']}"
            if self.claimed.get(objects.key(obj)) is not None:
                self.had[uid] = key
            yield key


def selector_of(owner: dict) -> selectors.Selector:
    """Return the owner's selector; that of a replication controller is a plain map of labels."""
    given = owner["spec"].get("selector")
    return selectors.from_label_selector({"matchLabels": given} if owner["kind"] == "ReplicationController" else given)


def selects(owner: dict, obj: dict) -> bool:
    """Tell whether the owner's selector matches the object's labels."""
    return selector_of(owner).matches(objects.labels(obj))


def claim(
    api: Client, owner: dict, resource: str, candidates: Iterable[dict], finalizers: Sequence[str] = ()
) -> list[dict]:
    """Return those of the candidates that are the owner's, after adopting (which adds the finalizers) and releasing."""
    selector = selector_of(owner)
    mine, orphans = [], []
    for obj in candidates:
        matches = selector.matches(objects.labels(obj))
        if objects.is_owned_by(obj, owner):
            if matches or objects.is_deleting(owner):
                mine.append(obj)
            else:
                release(api, owner, resource, obj)
        elif matches and objects.controller_of(obj) is None and not objects.is_deleting(obj):
            orphans.append(obj)
    if orphans and may_adopt(api, owner):
        mine += [adopt(api, owner, resource, obj, finalizers) for obj in orphans]
    return mine


def may_adopt(api: Client, owner: dict) -> bool:
    """Tell whether the owner is still there and stays, as the API knows it now."""
    if objects.is_deleting(owner):
        return False
    try:
        live = api.get(REGISTRY.find(owner["kind"]).group_plural, objects.name(owner), objects.namespace(owner))
    except ApiError as error:
        if error.code == 404:
            return False
        raise
    return objects.uid(live) == objects.uid(owner) and not objects.is_deleting(live)


def adopt(api: Client, owner: dict, resource: str, obj: dict, finalizers: Sequence[str] = ()) -> dict:
    reference = objects.owner_reference(owner, owner["kind"], owner["apiVersion"])
    return _patch(api, resource, obj, reference, {"finalizers": list(finalizers)} if finalizers else {})


def release(api: Client, owner: dict, resource: str, obj: dict) -> None:
    try:
        _patch(api, resource, obj, {"$patch": "delete", "uid": objects.uid(owner)})
    except ApiError as error:
        if error.code not in (404, 409, 422):  # it is gone, or no longer ours
            raise


def _patch(api: Client, resource: str, obj: dict, reference: dict, more: dict | None = None) -> dict:
    # The UID in the patch is a precondition: another object of that name is not meant.
    patch = {"metadata": {"uid": objects.uid(obj), "ownerReferences": [reference], **(more or {})}}
    return api.patch(resource, objects.name(obj), objects.namespace(obj), patch, kind="strategic")
