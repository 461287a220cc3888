"""The templates that a stateful or daemon set once had: a ControllerRevision each, numbered, so that one can go back.

A revision is found again by what it holds, not by its name; going back to one gives it the next number. `kubectl
rollout undo` does no more than write an old template into the set.

    data       {"spec": {"template": …, "$patch": "replace"}}, a strategic merge patch of the set, its keys in order:
               kubectl compares it byte by byte
    name       the set's name and a hash of the data, another hash for each collision

Upstream: pkg/controller/history/controller_history.go, …/statefulset/stateful_set_utils.go, …/daemon/update.go
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from labkit.glassbox import objects
from labkit.glassbox.client import Client
from labkit.glassbox.controllers.claims import claim
from labkit.glassbox.controllers.template_hash import revision_hash
from labkit.glassbox.errors import ApiError
from labkit.glassbox.informer import Informer

REVISIONS = "controllerrevisions"
POD_LABEL = "controller-revision-hash"


def claimed(api: Client, owner: dict, copy: Informer) -> list[dict]:
    """Return the owner's revisions, oldest first, after adopting and releasing."""
    return sorted(claim(api, owner, REVISIONS, copy.list(objects.namespace(owner))), key=order)


def order(revision: dict) -> tuple:
    metadata = revision["metadata"]
    return revision.get("revision", 0), metadata.get("creationTimestamp", ""), metadata["name"]


def data_of(owner: dict) -> dict:
    """Return what a revision of the owner's template holds."""
    data = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
    return orjson.loads(orjson.dumps(data, option=orjson.OPT_SORT_KEYS))


def template_of(revision: dict) -> dict:
    """Return the pod template that a revision holds."""
    return {key: value for key, value in revision["data"]["spec"]["template"].items() if key != "$patch"}


def current(api: Client, owner: dict, revisions: list[dict], label: str) -> tuple[dict, int]:
    """Return the revision of the owner's template, made or renumbered if need be, and the count of collisions."""
    collisions = (owner.get("status") or {}).get("collisionCount", 0)
    data, number = data_of(owner), revisions[-1].get("revision", 0) + 1 if revisions else 1
    same = [each for each in revisions if each["data"] == data]
    if not same:
        return make(api, owner, data, number, collisions, label)
    if same[-1] is revisions[-1]:
        return same[-1], collisions
    return api.update(REVISIONS, {**same[-1], "revision": number}), collisions


def make(api: Client, owner: dict, data: dict, number: int, collisions: int, label: str) -> tuple[dict, int]:
    """Create a revision; the name may be taken, by the same one that the copy does not show yet, or by another."""
    while True:
        wanted = revision_from(owner, data, number, revision_hash(data, collisions), label)
        try:
            return api.create(REVISIONS, wanted), collisions
        except ApiError as error:
            if error.code != 409:
                raise
        there = api.get(REVISIONS, objects.name(wanted), objects.namespace(owner))
        if objects.is_owned_by(there, owner) and there["data"] == data:
            return there, collisions
        collisions += 1


def revision_from(owner: dict, data: dict, number: int, digest: str, label: str) -> dict:
    labels = owner["spec"]["template"].get("metadata", {}).get("labels") or {}
    metadata = {
        "name": f"{objects.name(owner)}-{digest}",
        "namespace": objects.namespace(owner),
        "labels": {**labels, label: digest},
        "ownerReferences": [objects.owner_reference(owner, owner["kind"], owner["apiVersion"])],
    }
    if objects.annotations(owner):
        metadata["annotations"] = dict(objects.annotations(owner))
    body = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata}
    return {**body, "data": data, "revision": number}


def truncate(api: Client, owner: dict, revisions: list[dict], live: Iterable[str]) -> None:
    """Delete the oldest revisions beyond revisionHistoryLimit; those named in `live` neither count nor go."""
    for each in beyond_limit(revisions, set(live), owner["spec"].get("revisionHistoryLimit", 10)):
        api.delete(REVISIONS, objects.name(each), objects.namespace(each), uid=objects.uid(each))


def beyond_limit(revisions: list[dict], live: set[str], limit: int) -> list[dict]:
    past = [each for each in revisions if objects.name(each) not in live]
    return past[: max(0, len(past) - limit)]
