"""Serves what CustomResourceDefinitions define: accepts their names, adds and takes away Resources, empties them.

Stands for the controllers inside upstream's server of custom resources. A definition is looked at after each change to
it, and at the start; what it becomes is written into its status, and an established one is a Resource like the others
in the moment in which that is in the store.

Invariants: a kind is served only while its definition says Established; a definition goes after the last of its
objects.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/controller/{status,establish,finalizer}
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

from labkit.glassbox import objects
from labkit.glassbox.apiserver import watch
from labkit.glassbox.apiserver.definitions import publish
from labkit.glassbox.apiserver.deletion import Options, delete_row
from labkit.glassbox.apiserver.objects_at_rest import encode, key, prefix
from labkit.glassbox.apiserver.request import Api
from labkit.glassbox.apiserver.writes import remove
from labkit.glassbox.resources import REGISTRY, Resource
from labkit.glassbox.resources.custom_resource import resources_of
from labkit.glassbox.resources.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS as CRDS
from labkit.glassbox.resources.custom_resource_definition import FINALIZER, is_true
from labkit.glassbox.resources.validation.custom_resource_definitions import APPROVAL, is_protected
from labkit.glassbox.store import Change

AT_ONCE = 200  # objects that are deleted before others get their turn
NAMES = {"plural": "Plural", "singular": "Singular", "shortNames": "ShortNames", "kind": "Kind", "listKind": "ListKind"}


@dataclass(frozen=True)
class Known:
    """What a definition said when its Resources were made, and since which revision its spec has been so."""

    spec: dict
    called: dict
    since: int
    is_established: bool


class CustomResources:
    """The definitions that are in the store, and what is served of them."""

    def __init__(self, api: Api):
        self.api = api
        self.served: dict[str, tuple[Resource, ...]] = {}  # name of the definition → its versions
        self.known: dict[str, Known] = {}
        self.waiting: dict[str, Callable[[], None]] = {}  # … → what ends the look-out for its last object
        for row in api.store.rows(prefix(CRDS))[0]:
            self._take_up(orjson.loads(row.value), row.revision)
        self._publish()
        api.store.subscribe(prefix(CRDS), self._changed)

    def settle_all(self) -> None:
        """Go on where the last server stopped."""
        for name in list(self.known):
            self.settle(name)

    def _changed(self, change: Change) -> None:
        crd = orjson.loads(change.row.value)
        name = objects.name(crd)
        if change.row.deleted:
            self.served.pop(name, None)
            self.known.pop(name, None)
        else:
            self._take_up(crd, change.row.revision)
        self._publish()
        loop = asyncio.get_running_loop()
        for each in {name, *(other for other, known in self.known.items() if not known.is_established)}:
            loop.call_soon(self.settle, each)  # a name that is free now may be wanted by another

    def _take_up(self, crd: dict, revision: int) -> None:
        name, spec, called = objects.name(crd), crd["spec"], crd["status"].get("acceptedNames") or {}
        known = self.known.get(name)
        since = known.since if known and known.spec == spec else revision
        if not is_true(crd, "Established"):
            self.served[name] = ()
        elif not (known and known.spec == spec and known.called == called and self.served.get(name)):
            self.served[name] = resources_of(crd, since)
        self.known[name] = Known(spec, called, since, is_true(crd, "Established"))
        for each in self.served[name]:
            each.custom.is_terminating = objects.is_deleting(crd)  # type: ignore[union-attr]

    def _publish(self) -> None:
        resources = [each for name in sorted(self.served) for each in self.served[name]]
        for each in resources:
            assert each.custom is not None
            publish(each.definition, each.custom.schema)
        REGISTRY.set_custom(resources)
        watch.end_outdated()

    # --- one definition

    def settle(self, name: str) -> None:
        """Bring the status of a definition, or its end, forward."""
        row = self.api.store.get(key(CRDS, "", name))
        if row is None:
            return
        crd = orjson.loads(row.value)
        if objects.is_deleting(crd) and FINALIZER in (crd["metadata"].get("finalizers") or ()):
            self._empty(crd)
            return
        status = accepted(crd, self._taken(crd), self.api.clock.now())
        if status != crd["status"]:
            self._write(crd, {**crd, "status": status})

    def _taken(self, crd: dict) -> set[str]:
        """Return the names that others have in the group of a definition; kinds apart from the names in paths."""
        group, found = crd["spec"]["group"], set()
        for name, other in self.known.items():
            if other.spec["group"] == group and name != objects.name(crd):
                found |= set(claims(other.called))
        return found

    def _write(self, old: dict, new: dict) -> None:
        row = self.api.store.get(key(CRDS, "", objects.name(old)))
        assert row is not None
        self.api.store.append(row.key, encode(CRDS, new, self.api.store.revision + 1), expect=row.revision)

    def _empty(self, crd: dict) -> None:
        """Delete the objects of a definition that is being deleted; with the last one it goes."""
        name = objects.name(crd)
        storage = next((each.custom.storage for each in self.served.get(name, ()) if each.custom), None)
        rows = self.api.store.rows(prefix(storage))[0] if storage else []
        if storage and rows:
            left = [row for row in rows if "deletionTimestamp" not in orjson.loads(row.value)["metadata"]]
            for row in left[:AT_ONCE]:
                delete_row(storage, row, Options(), self.api)
            self._look_out(name, prefix(storage))
            if left:
                asyncio.get_running_loop().call_soon(self.settle, name)
            return
        if stop := self.waiting.pop(name, None):
            stop()
        kept = [each for each in crd["metadata"]["finalizers"] if each != FINALIZER]
        crd["metadata"]["finalizers"] = kept
        if kept:
            self._write(crd, crd)
            return
        last = self.api.store.get(key(CRDS, "", name))
        assert last is not None
        remove(self.api, CRDS, last, orjson.loads(last.value))

    def _look_out(self, name: str, within: str) -> None:
        def gone(change: Change) -> None:
            if change.row.deleted:
                asyncio.get_running_loop().call_soon(self.settle, name)

        if name not in self.waiting:
            self.waiting[name] = self.api.store.subscribe(within, gone)


# --- names


def claims(names: dict) -> Iterator[str]:
    """Yield what a definition's names take: for paths, and, marked, for kinds."""
    paths = (names.get("plural"), names.get("singular"), *(names.get("shortNames") or ()))
    yield from (each for each in paths if each)
    yield from (f"kind {each}" for each in (names.get("kind"), names.get("listKind")) if each)


def accepted(crd: dict, taken: set[str], now: float) -> dict:
    """Return the status of a definition when others have taken these names."""
    wanted, status = crd["spec"]["names"], crd["status"]
    held, conflict = dict(status.get("acceptedNames") or {}), None
    for field, reason in NAMES.items():
        given = wanted.get(field)
        each = given if isinstance(given, list) else [given] if given else []
        own = held.get(field) if isinstance(held.get(field), list) else [held.get(field)]
        mark = "kind " if field in ("kind", "listKind") else ""
        clashes = [name for name in each if name not in (own or ()) and f"{mark}{name}" in taken]
        if clashes:
            told = ", ".join(f'"{name}" is already in use' for name in clashes)
            conflict = (f"{reason}Conflict", f"[{told}]" if len(clashes) > 1 else told)
        elif given:
            held[field] = given
        else:
            held.pop(field, None)
    held.update({"categories": wanted["categories"]} if wanted.get("categories") else {})
    if not wanted.get("categories"):
        held.pop("categories", None)
    conditions = status.get("conditions") or []
    for new in _conditions(crd, conflict, conditions):
        conditions = objects.set_condition(conditions, new, now)
    return {**status, "conditions": conditions, "acceptedNames": held}


def _conditions(crd: dict, conflict: tuple[str, str] | None, held: list[dict]) -> Iterator[dict]:
    if conflict:
        yield _condition("NamesAccepted", False, *conflict)
    else:
        yield _condition("NamesAccepted", True, "NoConflicts", "no conflicts found")
    if not is_true(crd, "Established"):
        if conflict:
            yield _condition("Established", False, "NotAccepted", "not all names are accepted")
        else:
            told = "the initial names have been accepted"
            yield _condition("Established", True, "InitialNamesAccepted", told)
    if is_protected(crd["spec"]["group"]):
        given, kind = objects.annotations(crd).get(APPROVAL, ""), "KubernetesAPIApprovalPolicyConformant"
        if given.startswith("unapproved"):
            yield _condition(kind, False, "UnapprovedAnnotation", f'not approved: "{given}"')
        else:
            yield _condition(kind, True, "ApprovedAnnotation", f"approved in {given}")


def _condition(kind: str, holds: bool, reason: str, message: str) -> dict:
    return {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": message}
