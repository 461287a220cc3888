"""What becomes of `metadata.managedFields` when somebody writes or applies an object.

An entry is the dict that the API shows. Who writes with the same name, operation, subresource and (unless it applies)
version is the same manager. Each field has as many managers as applied the value that it has; a write that changes it
takes it from all others.

Invariants: an entry owns something; entries are in the order in which they are written: appliers first, then the
oldest. No more than MOST_UPDATERS entries of writers are kept: the oldest of a version become one.

Upstream: sigs.k8s.io/structured-merge-diff/merge/update.go, …/managedfields/internal/{capmanagers,managedfields}.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from labkit.glassbox.apiserver.fields import values
from labkit.glassbox.apiserver.fields.sets import (
    Fields,
    difference,
    intersection,
    ordered,
    parse,
    paths,
    union,
    without,
)
from labkit.glassbox.apiserver.fields.shapes import Shape

APPLY, UPDATE = "Apply", "Update"
MOST_UPDATERS = 10
ANCIENT = "ancient-changes"
Entry = dict[str, Any]
# Owned by nobody: what names the object, and what only the server sets.
NOBODYS_METADATA = frozenset(
    [
        *("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields"),
        "resourceVersion",
    ]
)


class Conflict(Exception):
    """Somebody else manages fields that were applied with other values: pairs of an entry and a path."""

    def __init__(self, found: list[tuple[Entry, tuple[str, ...]]]):
        super().__init__(f"{len(found)} conflicts")
        self.found = found


@dataclass(frozen=True)
class View:
    """One version of a kind: its shape, and how its objects become those of the version asked for, and back."""

    shape: Shape
    to: Callable[[dict], dict] = lambda obj: obj
    back: Callable[[dict], dict] = lambda obj: obj


Views = Callable[[str], View | None]  # apiVersion → its view; None if it is served no more


@dataclass(frozen=True)
class Writer:
    """Who writes: the name, through which version and subresource, when, and what of the object it cannot write."""

    name: str
    api_version: str
    time: str
    operation: str = UPDATE
    subresource: str = ""
    resets: Fields | None = None

    def entry(self, fields: Fields) -> Entry:
        """Return the entry by which the object shows what the writer manages."""
        entry: Entry = {"manager": self.name, "operation": self.operation, "apiVersion": self.api_version}
        entry |= {"time": self.time, "fieldsType": "FieldsV1", "fieldsV1": ordered(fields)}
        return entry | ({"subresource": self.subresource} if self.subresource else {})


def identity(entry: Entry) -> tuple:
    version = "" if entry["operation"] == APPLY else entry["apiVersion"]
    return entry["operation"], entry["manager"], version, entry.get("subresource", "")


def content(obj: dict) -> dict:
    """Return the part of an object that somebody may manage."""
    rest = {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}
    meta = obj.get("metadata") or {}
    return rest | {"metadata": {name: meta[name] for name in meta if name not in NOBODYS_METADATA}}


def named_by(shape: Shape, config: dict) -> Fields:
    """Return the fields that a configuration names."""
    rest = content(config)
    if not rest["metadata"]:
        del rest["metadata"]  # it only said which object is meant
    return values.fields_of(shape, rest)


def read(sent: Any) -> list[Entry]:
    """Return the entries that a client sent, in their normal form. Raises ValueError if one is none."""
    entries = []
    for entry in sent:
        if entry.get("operation") not in (APPLY, UPDATE) or not entry.get("apiVersion"):
            raise ValueError(f"an entry of managedFields has an operation and an apiVersion, unlike {entry!r}")
        if entry.get("fieldsType") != "FieldsV1":
            raise ValueError(
                f'the fieldsType of an entry of managedFields is "FieldsV1", not {entry.get("fieldsType")!r}'
            )
        if fields := parse(entry.get("fieldsV1") or {}):
            entries.append({**entry, "manager": entry.get("manager", ""), "fieldsV1": ordered(fields)})
    return entries


def updated(old: dict, new: dict, entries: list[Entry], writer: Writer, views: Views) -> list[Entry]:
    """Return the entries after an object became another by a write that was no apply."""
    differences = _Differences(old, new, writer, views)
    changed, removed = differences.at(writer.api_version) or ({}, {})
    if not changed and not removed:
        return entries
    result = _taken(entries, differences)
    if changed:
        held = result.get(identity(writer.entry({})), {}).get("fieldsV1", {})
        mine = writer.entry(union(held, changed))
        result[identity(mine)] = mine
    return in_order(_bounded(list(result.values())))


def applied(
    live: dict, config: dict, entries: list[Entry], writer: Writer, views: Views, *, force: bool
) -> tuple[dict, list[Entry]]:
    """Return a live object with a configuration applied, and the entries after that. Raises Conflict.

    What the same manager applied last and leaves out now goes, unless somebody else manages it too.
    """
    view = views(writer.api_version)
    assert view is not None, f"the version that is written is served: {writer.api_version}"
    shape = view.shape
    mine = writer.entry(without(named_by(shape, config), writer.resets or {}))
    others = {identity(entry): entry for entry in entries}
    last = others.pop(identity(mine), None)
    merged = values.merge(shape, live, config)
    if last and (view := views(last["apiVersion"])) and difference(last["fieldsV1"], mine["fieldsV1"]):
        whole = {**mine, "fieldsV1": values.fields_of(shape, config)}
        merged = view.back(_pruned(view.to(merged), view, last["fieldsV1"], [whole, *others.values()], views))
    differences = _Differences(live, merged, writer, views)
    if not force and (conflicts := _conflicts(others.values(), differences)):
        raise Conflict(conflicts)
    result = list(_taken(others.values(), differences).values())
    return merged, in_order([*result, mine] if mine["fieldsV1"] else result)


class _Differences:
    """What a write changed and removed, as each version sees it; each is compared once."""

    def __init__(self, old: dict, new: dict, writer: Writer, views: Views):
        self.old, self.new, self.resets, self.views = old, new, writer.resets or {}, views
        self.known: dict[str, tuple[Fields, Fields] | None] = {}

    def at(self, version: str) -> tuple[Fields, Fields] | None:
        if version not in self.known:
            view = self.views(version)
            self.known[version] = self._compare(view) if view else None
        return self.known[version]

    def _compare(self, view: View) -> tuple[Fields, Fields]:
        changed, removed = values.compare(view.shape, content(view.to(self.old)), content(view.to(self.new)))
        return without(changed, self.resets), without(removed, self.resets)


def _conflicts(others: Iterable[Entry], differences: _Differences) -> list[tuple[Entry, tuple[str, ...]]]:
    found = []
    for entry in others:
        if difference_seen := differences.at(entry["apiVersion"]):
            found += [(entry, path) for path in paths(intersection(entry["fieldsV1"], difference_seen[0]))]
    return found


def _taken(entries: Iterable[Entry], differences: _Differences) -> dict[tuple, Entry]:
    """Return the entries without what has changed; those of versions that are served no more go."""
    result = {}
    for entry in entries:
        if (seen := differences.at(entry["apiVersion"])) is None:
            continue
        left = difference(difference(entry["fieldsV1"], seen[0]), seen[1])
        if left:
            result[identity(entry)] = entry if left is entry["fieldsV1"] else {**entry, "fieldsV1": left}
    return result


def _pruned(merged: dict, view: View, last: Fields, owners: list[Entry], views: Views) -> dict:
    """Return a merged object without what only the last configuration wanted."""
    shape = view.shape
    gone = values.with_structs(shape, last)
    pruned = values.remove(shape, merged, gone) or {}
    for version in dict.fromkeys(entry["apiVersion"] for entry in owners):
        if other := views(version):
            owned = [entry["fieldsV1"] for entry in owners if entry["apiVersion"] == version]
            pruned = view.to(other.back(_kept(other, other.to(view.back(merged)), other.to(view.back(pruned)), owned)))
    lost = difference(_all_of(shape, merged), _all_of(shape, pruned))
    return values.remove(shape, merged, intersection(lost, gone)) or {}


def _kept(view: View, merged: dict, pruned: dict, owned: list[Fields]) -> dict:
    """Return a merged object with what is left of it and what is owned."""
    kept = _all_of(view.shape, pruned)
    for fields in owned:
        kept = union(kept, values.with_structs(view.shape, fields))
    return values.remove(view.shape, merged, difference(_all_of(view.shape, merged), kept)) or {}


def _all_of(shape: Shape, obj: dict) -> Fields:
    return values.with_structs(shape, values.fields_of(shape, obj))


def _bounded(entries: list[Entry]) -> list[Entry]:
    """Return the entries with the oldest writers of a version merged into one, if there are too many."""
    writers = sorted((each for each in entries if each["operation"] == UPDATE), key=_age)
    first: dict[str, Entry] = {}
    for entry in writers:
        if sum(each["operation"] == UPDATE for each in entries) <= MOST_UPDATERS:
            break
        elder = first.setdefault(entry["apiVersion"], entry)
        if elder is entry:
            continue
        bucket = {name: entry[name] for name in entry if name != "subresource"} | {"manager": ANCIENT}
        bucket["fieldsV1"] = ordered(union(elder["fieldsV1"], entry["fieldsV1"]))
        entries = [*(each for each in entries if each is not elder and each is not entry), bucket]
        first[entry["apiVersion"]] = bucket
    return entries


def _age(entry: Entry) -> tuple:
    return entry.get("time", ""), entry["manager"]


def in_order(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda each: (each["operation"], *_age(each), each["apiVersion"], identity(each)[-1]))


def differ(one: list[Entry], other: list[Entry]) -> bool:
    """Tell whether two lists of entries differ in more than their times."""
    if len(one) != len(other):
        return True
    held = {identity(entry): entry for entry in one}
    return any({**entry, "time": None} != {**held.get(identity(entry), {}), "time": None} for entry in other)
