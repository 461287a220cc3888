"""The panel of a cluster's components: which runs, which is stopped; buttons to stop, start and restart each.

Only a cluster of the kit's own lets one do that (`lab.can("stop-components")`). The supervisor that starts the
components is no API and has no watch: it is asked after each click, and every two seconds while the panel is open,
since a component may also die by itself.
"""

import threading

from labkit.cluster import Cluster
from labkit.errors import LabError
from labkit.widgets.shown import Shown, attempt, button, html, put, row, style_sheet

LOOK_SECONDS = 2.0
MARKS = {"running": "✓", "stopped": "■"}
LOOKS = {"running": "ready", "stopped": "failing"}


class ComponentPanel(Shown):
    """The components of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        import ipywidgets as w

        self.cluster = cluster
        self.line = f"components of cluster {cluster.name}: run this cell in JupyterLab to stop and start them"
        self._rows: dict[str, ComponentRow] = {}
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="labkit panel")
        self._head, self._said = w.HTML(html(f"components of cluster {cluster.name}", "head")), w.HTML()
        self._list = w.VBox()
        self.box = w.VBox([style_sheet(), self._head, self._list, self._said])
        self.box.add_class("lk-view")

    def begin(self) -> None:
        """Show the components, and follow them."""
        if self._thread.ident is None:
            self.refresh()
            self._thread.start()

    def close(self) -> None:
        """Stop following them."""
        self._closed.set()

    def change(self, verb: str, component: str) -> None:
        """Stop, start or restart one."""
        act = lambda: self.cluster.provider.change(self.cluster.name, verb, component)  # noqa: E731
        put(self._said, value=html(attempt(f"labkit {verb} {component}", act), "said"))
        self.refresh()

    def refresh(self) -> None:
        """Ask how they stand, and show it."""
        with self._lock:
            try:
                self._draw(self.cluster.provider.components(self.cluster.name))
            except LabError as error:
                put(self._said, value=html(f"✗ {error}", "trouble"))

    def _follow(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            self.refresh()

    def _draw(self, states: dict[str, str]) -> None:
        for name, state in states.items():
            self._rows.setdefault(name, ComponentRow(self, name)).draw(state)
        put(self._list, children=tuple(self._rows[name].box for name in states))


class ComponentRow:
    """One component with its buttons."""

    def __init__(self, panel: ComponentPanel, name: str) -> None:
        import ipywidgets as w

        self.panel, self.name, self._label = panel, name, w.HTML()
        self._switch = button("stop", "", lambda: panel.change(self._switch.description, name))
        again = button("restart", f"labkit restart {name}", lambda: panel.change("restart", name))
        self.box = row("component", self._label, self._switch, again)

    def draw(self, state: str) -> None:
        """Show how it stands."""
        verb = "start" if state == "stopped" else "stop"
        put(self._label, value=html(f"{MARKS.get(state, '◐')} {self.name} · {state}", "facts"))
        put(self._switch, description=verb, tooltip=f"labkit {verb} {self.name}")
        put(self.box, _dom_classes=("lk-component", f"lk-{LOOKS.get(state, 'starting')}"))
