"""The live view: a namespace as it is at this moment. Pods by node; click one for its facts, then kill it; what can be
scaled, with - and +; the latest events.

It reads by watches (feed.py) and writes as kubectl delete and kubectl scale do, with the student's own rights: what the
API server refuses stands in the view, in its words. One thread draws; a click only notes what is wanted.

Kubernetes' own web dashboard was archived in 2026: this view is the kit's, on every cluster.
"""

from typing import Any

from labkit.api import Api
from labkit.errors import LabError
from labkit.widgets.feed import Feed, Snapshot
from labkit.widgets.scene import SCALABLE, Look, PodTile, Scene, Workload, scene_of
from labkit.widgets.shown import Shown, attempt, button, html, put, style_sheet

MOST = 60  # pods drawn a node
GRACE = 1  # seconds: a pod that ignores SIGTERM should not make a student wait for 30
HELP = "click a pod to see more of it"


class LiveView(Shown):
    """A live view of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        import ipywidgets as w

        self.api, self.namespace = api, namespace
        self.line = f"live view of namespace {namespace}: run this cell in JupyterLab to see it"
        topics = dict.fromkeys(("pods", "events", *SCALABLE), namespace)
        self._feed = Feed(api, {**topics, "nodes": None}, self._show)
        self._scene: Scene | None = None
        self._chosen: PodTile | None = None
        self._said = self._ended = ""
        self._tiles: dict[str, Any] = {}
        self._columns: dict[str, Any] = {}
        self._rows: dict[tuple[str, str], WorkloadRow] = {}
        self._head, self._said_line, self._events = w.HTML(), w.HTML(), w.HTML()
        self._nodes, self._facts, self._workloads = w.HBox(), w.HTML(html(HELP, "quiet")), w.VBox()
        self._kill = button("kill", "Delete the pod chosen, as kubectl delete pod does", self.kill, "danger")
        self._kill.disabled = True
        self._nodes.add_class("lk-nodes")
        chosen = w.HBox([self._facts, self._kill])
        chosen.add_class("lk-chosen")
        parts = [style_sheet(), self._head, self._nodes, chosen, self._workloads, self._said_line, self._events]
        self.box = w.VBox(parts)
        self.box.add_class("lk-view")

    def begin(self) -> None:
        """Start following the namespace."""
        self._feed.start()

    def close(self) -> None:
        """Stop following it; what was last seen stays, and says that it is over."""
        self._feed.close()
        put(self._kill, disabled=True)
        put(self._head, value=html(f"○ namespace {self.namespace} · ended: run the cell again", "head"))

    def choose(self, tile: PodTile) -> None:
        """Choose a pod, to see more of it or to kill it."""
        self._chosen = tile
        self._feed.touch()

    def kill(self) -> None:
        """Delete the pod chosen."""
        if tile := self._chosen:
            self._do(f"kill pod {tile.name}", lambda: self.api.delete("pods", tile.name, self.namespace, grace=GRACE))

    def scale(self, resource: str, name: str, replicas: int) -> None:
        """Ask for another number of pods."""
        act = lambda: self.api.scale(resource, name, self.namespace, replicas)  # noqa: E731 - one line reads better
        self._do(f"scale {resource.removesuffix('s')}/{name} to {replicas}", act)

    def _do(self, words: str, act: Any) -> None:
        self._said = attempt(words, act)
        self._feed.touch()

    def _show(self, snapshot: Snapshot) -> None:
        """Draw a snapshot; a fault of the drawing is told in the view: the thread must go on."""
        try:
            self._draw(scene_of(snapshot), snapshot.troubles)
        except (LabError, KeyError, TypeError, ValueError) as error:
            put(self._said_line, value=html(f"✗ this view cannot show what it reads: {error!r}", "trouble"))

    def _draw(self, scene: Scene, troubles: Any) -> None:
        put(self._head, value=head_of(self.namespace, scene, troubles))
        self._draw_nodes(scene)
        self._draw_chosen(scene)
        self._draw_workloads(scene.workloads)
        put(self._said_line, value=html(self._said, "said") if self._said else "")
        put(self._events, value=html("\n".join(scene.events) or "no events yet", "events", tag="pre"))

    def _draw_nodes(self, scene: Scene) -> None:
        shown = {tile.uid: tile for _, tiles in scene.nodes for tile in tiles[:MOST]}
        for gone in self._tiles.keys() - shown.keys():
            self._tiles.pop(gone).close()
        for tile in shown.values():
            self._draw_tile(tile)
        for gone in self._columns.keys() - {name for name, _ in scene.nodes}:
            self._columns.pop(gone).close()
        for name, tiles in scene.nodes:
            self._draw_column(name, tiles)
        put(self._nodes, children=tuple(self._columns[name] for name, _ in scene.nodes))

    def _draw_column(self, name: str, tiles: tuple[PodTile, ...]) -> None:
        import ipywidgets as w

        if name not in self._columns:
            self._columns[name] = w.VBox([w.HTML()])
            self._columns[name].add_class("lk-node")
        title = self._columns[name].children[0]
        more = f" · {len(tiles) - MOST} more" if len(tiles) > MOST else ""
        put(title, value=html(f"{name} · {len(tiles)}{more}", "node-name"))
        put(self._columns[name], children=(title, *(self._tiles[tile.uid] for tile in tiles[:MOST])))

    def _draw_tile(self, tile: PodTile) -> None:
        if tile.uid not in self._tiles:
            self._tiles[tile.uid] = button("", "", lambda: self.choose(tile))
        chosen = ("lk-is-chosen",) if self._chosen and self._chosen.uid == tile.uid else ()
        put(
            self._tiles[tile.uid],
            description=f"{tile.look.value} {tile.name}",
            tooltip=tile.sentence,
            _dom_classes=("lk-button", "lk-tile", f"lk-{tile.look.name.lower()}", *chosen),
        )

    def _draw_chosen(self, scene: Scene) -> None:
        if (chosen := self._chosen) is None:
            return
        now = next((tile for _, tiles in scene.nodes for tile in tiles if tile.uid == chosen.uid), None)
        put(self._facts, value=html(now.sentence if now else f"pod {chosen.name} is gone", "facts"))
        put(self._kill, disabled=now is None or now.look is Look.ENDING)

    def _draw_workloads(self, workloads: tuple[Workload, ...]) -> None:
        for gone in self._rows.keys() - {(each.resource, each.name) for each in workloads}:
            self._rows.pop(gone).box.close()
        for each in workloads:
            self._rows.setdefault((each.resource, each.name), WorkloadRow(self)).draw(each)
        put(self._workloads, children=tuple(self._rows[each.resource, each.name].box for each in workloads))


class WorkloadRow:
    """One object that keeps pods, with the control to scale it."""

    def __init__(self, view: LiveView) -> None:
        import ipywidgets as w

        self.view, self._now = view, Workload("", "", "", 0, 0)
        self._label, self._wanted = w.HTML(), w.HTML()
        self._less = button("−", "One pod less", lambda: self._by(-1))
        more = button("+", "One pod more", lambda: self._by(1))
        self.box = w.HBox([self._label, self._less, self._wanted, more])
        self.box.add_class("lk-workload")

    def draw(self, now: Workload) -> None:
        """Show how it stands."""
        self._now = now
        put(self._label, value=html(f"{now.kind} {now.name} · {now.ready} of {now.wanted} ready", "facts"))
        put(self._wanted, value=html(str(now.wanted), "wanted"))
        put(self._less, disabled=now.wanted == 0)

    def _by(self, change: int) -> None:
        self.view.scale(self._now.resource, self._now.name, self._now.wanted + change)


def head_of(namespace: str, scene: Scene, troubles: Any) -> str:
    """Say in a line how the namespace stands; and what cannot be read, each cause once."""
    head = html(f"● namespace {namespace} · {scene.headline}", "head")
    causes: dict[str, list[str]] = {}
    for resource, why in troubles.items():
        causes.setdefault(why.replace(f'"{resource}"', "…"), []).append(resource)
    return head + "".join(html(f"✗ {', '.join(names)}: {troubles[names[0]]}", "trouble") for names in causes.values())
