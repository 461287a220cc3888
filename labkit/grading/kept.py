"""What a hand-in's cluster held when its run had ended: objects as JSON, answered as the API answers.

Taken before the trials, which change what they try. From it spec and status items are judged again after a change of
the rubric, and the feedback page draws its picture. The store of an embedded cluster is kept beside it, to be started
again; these objects are all that is had of a cluster that somebody else runs.
"""

import gzip
import json
from pathlib import Path
from typing import Any

from labkit.api import Api, Object, Objects
from labkit.errors import ApiFailure, ClusterError
from labkit.glassbox import selectors
from labkit.glassbox.apiserver.reads import Choice
from labkit.glassbox.errors import ApiError

CLUSTER_WIDE = ("nodes", "namespaces", "persistentvolumes", "storageclasses", "ingressclasses")
MEASURED = "metrics.k8s.io"
Collections = list[dict[str, Any]]  # names: what the resource may be called; items


def take(api: Api, namespaces: list[str]) -> Collections:
    """Read all objects of the namespaces, and what lies in none; a resource that cannot be listed is left out.

    So is what is measured: it is no object, and the first measurement takes a second.
    """
    found = []
    for kind in api.kinds():
        if kind.group == MEASURED:
            continue
        where: list[str | None] = [*namespaces] if kind.namespaced else [None] * (kind.plural in CLUSTER_WIDE)
        try:
            items = [each for namespace in where for each in api.items(_full(kind), namespace)]
        except ApiFailure:  # not to be listed: reviews, bindings
            continue
        for each in items:
            each["metadata"].pop("managedFields", None)
        if where:
            found.append({"names": sorted(kind.names()), "items": items})
    return found


def _full(kind: Any) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else str(kind.plural)


class Kept:
    """The objects that were kept, read like a cluster; raises what the API would."""

    def __init__(self, collections: Collections) -> None:
        self.collections = collections

    def items(self, resource: str, namespace: str | None = None, *, label_selector: str = "",
              field_selector: str = "") -> Objects:  # fmt: skip
        """Return the objects that the selectors pick; raises ClusterError for a resource that was not kept."""
        try:
            chosen = Choice(selectors.parse_labels(label_selector), selectors.parse_fields(field_selector))
        except ApiError as error:
            raise ApiFailure(error.status()) from None
        found = next((c["items"] for c in self.collections if resource.lower() in c["names"]), None)
        if found is None:
            raise ClusterError(f"no {resource} were kept of this hand-in", next_step="grade it again: its run tells")
        there = (None, namespace)
        mine = [o for o in found if namespace is None or o["metadata"].get("namespace") in there]
        return [o for o in mine if chosen.matches(o)]

    def get(self, resource: str, name: str, namespace: str | None = None) -> Object | None:
        """Return the object, or None when there was none of that name."""
        return next((o for o in self.items(resource, namespace) if o["metadata"]["name"] == name), None)


def write(path: Path, collections: Collections) -> None:
    """Write the objects, compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(collections).encode(), mtime=0))


def read(path: Path) -> Kept:
    """Read the objects of a hand-in; raises ClusterError when none were kept."""
    try:
        return Kept(json.loads(gzip.decompress(path.read_bytes())))
    except (OSError, EOFError, ValueError) as error:
        raise ClusterError(f"no objects were kept in {path}", value=str(error).split("\n")[0]) from None
