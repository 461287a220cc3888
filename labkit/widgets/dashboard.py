"""The page of `labkit dashboard`: one live view, a choice of namespaces, and the components where they may be stopped.

Served by Voilà, which runs one cell in a kernel for each visitor (labkit/dashboard.py writes that cell).
"""

from typing import Any

from labkit import cluster as clusters
from labkit.api import Api
from labkit.errors import ApiFailure, LabError
from labkit.widgets.live import LiveView
from labkit.widgets.panel import ComponentPanel
from labkit.widgets.shown import Shown, html, style_sheet


class Dashboard(Shown):
    """A cluster, one namespace at a time."""

    def __init__(self, cluster: clusters.Cluster, namespace: str) -> None:
        import ipywidgets as w

        self.api, self.line = cluster.api, f"dashboard of cluster {cluster.name}"
        self._view, self._place = LiveView(cluster.api, namespace), w.VBox()
        choice = w.Dropdown(options=namespaces(cluster.api, namespace), value=namespace, description="namespace")
        choice.observe(lambda change: self.show(change["new"]), "value")
        below = [ComponentPanel(cluster)] if cluster.can("stop-components") else []
        for each in below:
            each.begin()
        self.box = w.VBox([choice, self._place, *(each.box for each in below)])
        self.show(namespace)

    def show(self, namespace: str) -> None:
        """Show another namespace in the place of the one before."""
        self._view.close()
        self._view = LiveView(self.api, namespace)
        self._view.begin()
        self._place.children = (self._view.box,)


def namespaces(api: Api, first: str) -> list[str]:
    """Return those that may be seen; at least the one asked for."""
    try:
        return sorted({first, *(each["metadata"]["name"] for each in api.items("namespaces"))})
    except ApiFailure:
        return [first]


def page(cluster: str, namespace: str) -> Any:
    """Return what the page shows: the dashboard, or why there is none."""
    import ipywidgets as w

    try:
        return Dashboard(clusters.connect(cluster), namespace)
    except LabError as error:
        return w.VBox([style_sheet(), w.HTML(html(f"✗ {error}", "trouble"))])
