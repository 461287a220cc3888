"""Pictures of a cluster, each with a text twin: a screen reader, a terminal and nbval read the twin."""

from collections.abc import Iterable
from pathlib import Path

from labkit.api import Api
from labkit.draw import boxes, nodes, owners, policies, services, volumes
from labkit.draw.bars import bars
from labkit.draw.boxes import GraphPicture
from labkit.draw.graph import below
from labkit.draw.matrix import Row, matrix
from labkit.draw.picture import Picture
from labkit.errors import ApiFailure
from labkit.predict import of_class

__all__ = ["Draw", "GraphPicture", "Picture"]

# Made by controllers out of a hash: they say nothing to a reader and differ from run to run.
HASHES = ("pod-template-hash", "controller-revision-hash", "job-name", "controller-uid")


class Draw:
    """The pictures that a lesson can ask for, of what is in its namespace now."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace

    def labels(self, resource: str = "pods", *, highlight: str = "", namespace: str = "",
               hide: tuple[str, ...] = HASHES) -> Picture:  # fmt: skip
        """Draw which object carries which label; `highlight` is a selector whose matches are marked.

        The API server does the matching, so the picture shows what kubectl -l would.
        """
        where = namespace or self.namespace
        objects = self.api.items(resource, where)
        chosen: set[str] = set()
        if highlight:
            chosen = {o["metadata"]["name"] for o in self.api.items(resource, where, label_selector=highlight)}
        rows = [_row(o["metadata"], chosen, hide) for o in objects]
        return matrix(rows, title=f"{resource} × labels", highlight=highlight)

    def owners(self, *of: str, since: GraphPicture | None = None, namespace: str = "") -> GraphPicture:
        """Draw who owns whom: all, or what "deployment/web" and others named own.

        `since` is an earlier picture of the same: what is new, gone or changed since then is marked.
        """
        where = namespace or self.namespace
        objects = [each for resource in owners.RESOURCES for each in self.api.items(resource, where)]
        earlier = since.graph if since else None
        return boxes.draw(below(owners.graph_of(objects), of), "who owns whom", since=earlier)

    def services(self, *names: str, since: GraphPicture | None = None, namespace: str = "") -> GraphPicture:
        """Draw which pods get the connections of the services named, or of all; `since` as above."""
        where = namespace or self.namespace
        found = [each for each in self.api.items("services", where) if not names or each["metadata"]["name"] in names]
        graph = services.graph_of(found, self.api.items("endpointslices", where), self.api.items("pods", where))
        return boxes.draw(graph, "services and their pods", since=since.graph if since else None)

    def nodes(self, selector: str = "", *, since: GraphPicture | None = None) -> GraphPicture:
        """Draw on which node each pod of the namespace runs, or those that a selector picks; `since` as above."""
        pods = self.api.items("pods", self.namespace, label_selector=selector)
        graph = nodes.graph_of(self.api.items("nodes"), pods)
        return boxes.draw(graph, "nodes and their pods", since=since.graph if since else None)

    def counts(self, answers: Iterable[str], title: str = "who answered") -> Picture:
        """Draw how often each answer came."""
        return bars(answers, title)

    def predictions(self, number: str, folder: str | Path) -> Picture:
        """Draw how often each answer was expected in the notebooks of a folder: a class's hand-ins."""
        return bars(of_class(Path(folder), number), f"what was expected in {number}")

    def volumes(self, *of: str, since: GraphPicture | None = None) -> GraphPicture:
        """Draw what pods mount, and claim → volume → class: all, or what "pod/diary" and others named lead to."""
        objects = [each for resource in volumes.RESOURCES for each in self.api.items(resource, self.namespace)]
        for resource in volumes.CLUSTER_WIDE:
            try:
                objects += self.api.items(resource)
            except ApiFailure as failure:
                if failure.code != 403:  # of a whole cluster a student may see less than of a namespace
                    raise
        earlier = since.graph if since else None
        return boxes.draw(below(volumes.graph_of(objects), of), "what pods mount", since=earlier)

    def policies(self, *, since: GraphPicture | None = None) -> GraphPicture:
        """Draw who may speak to whom by the network policies; `since` as above."""

        def pods_of(selector: str) -> list[str]:
            return [o["metadata"]["name"] for o in self.api.items("pods", self.namespace, label_selector=selector)]

        graph = policies.graph_of(self.api.items("networkpolicies", self.namespace), pods_of)
        return boxes.draw(graph, "who may speak to whom", since=since.graph if since else None)


def _row(meta: dict, chosen: set[str], hide: tuple[str, ...]) -> Row:
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key not in hide}
    return Row(meta["name"], labels, meta["name"] in chosen)
