"""The live view: a namespace as it is at this moment. Pods by node; click one for its facts, then kill it; what can be
scaled, with - and +; the latest events.

It reads by watches (feed.py) and writes as kubectl delete and kubectl scale do, with the student's own rights: what the
API server refuses stands in the view, in its words. One thread draws; a click only notes what is wanted. Who may not
list nodes sees those that have pods.

Kubernetes' own web dashboard was archived in 2026: this view is the kit's, on every cluster.
"""

from collections.abc import Callable, Mapping
from typing import Any

from labkit.api import Api
from labkit.widgets.feed import Feed, Snapshot
from labkit.widgets.scene import SCALABLE, Look, PodTile, Scene, Workload, scene_of
from labkit.widgets.shown import Shown, attempt, button, html, put, row, style_sheet

MOST = 60  # pods drawn a node
GRACE = 1  # seconds: a pod that ignores SIGTERM should not make a student wait for 30


class LiveView(Shown):
    """A live view of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        import ipywidgets as w

        self.api, self.namespace = api, namespace
        self.line = f"live view of namespace {namespace}: run this cell in JupyterLab to see it"
        topics = dict.fromkeys(("pods", "events", *SCALABLE), namespace)
        self._feed = Feed(api, {**topics, "nodes": None}, self._show)
        self._chosen: PodTile | None = None
        self._said, self._layout = "", list[tuple[str, int, list[str]]]()
        self._tiles, self._rows = dict[str, Any](), dict[str, WorkloadRow]()
        self._head, self._answer, self._events, self._nodes = w.HTML(), w.HTML(), w.HTML(), w.HBox()
        self._facts, self._workloads = w.HTML(html("click a pod to see more of it", "quiet")), w.VBox()
        self._kill = button("kill", "Delete the pod chosen, as kubectl delete pod does", self.kill, "danger")
        self._kill.disabled = True
        self._nodes.add_class("lk-nodes")
        chosen = row("chosen", self._facts, self._kill)
        self.box = w.VBox([style_sheet(), self._head, self._nodes, chosen, self._workloads, self._answer, self._events])
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
        words = f"scale {resource.removesuffix('s')}/{name} to {replicas}"
        self._do(words, lambda: self.api.scale(resource, name, self.namespace, replicas))

    def _do(self, words: str, act: Callable[[], None]) -> None:
        self._said = attempt(words, act)
        self._feed.touch()

    def _show(self, snapshot: Snapshot) -> None:
        try:
            self._draw(snapshot, scene_of(snapshot))
        except (KeyError, TypeError, ValueError) as error:  # of an object unlike those that we know: the thread goes on
            put(self._answer, value=html(f"✗ this view cannot show what it reads: {error!r}", "trouble"))

    def _draw(self, snapshot: Snapshot, scene: Scene) -> None:
        put(self._head, value=head_of(self.namespace, scene.headline, snapshot.troubles))
        self._draw_nodes(scene)
        self._draw_chosen(scene)
        self._draw_workloads(scene.workloads)
        put(self._answer, value=html(self._said, "said") if self._said else "")
        put(self._events, value=html("\n".join(scene.events) or "no events yet", "events"))

    def _draw_nodes(self, scene: Scene) -> None:
        """Keep a button a pod; make the columns anew when a pod comes, goes or moves."""
        for tile in (tile for _, tiles in scene.nodes for tile in tiles[:MOST]):
            self._draw_tile(tile)
        layout = [(name, len(tiles), [tile.uid for tile in tiles[:MOST]]) for name, tiles in scene.nodes]
        if layout != self._layout:
            before, self._layout = self._nodes.children, layout
            self._nodes.children = [self._column(*each) for each in layout]
            gone = self._tiles.keys() - {uid for _, _, uids in layout for uid in uids}
            for old in [*before, *map(self._tiles.pop, gone)]:
                old.close()

    def _column(self, name: str, count: int, uids: list[str]) -> Any:
        import ipywidgets as w

        more = f" · {count - MOST} more" if count > MOST else ""
        column = w.VBox([w.HTML(html(f"{name} · {count}{more}", "node-name")), *(self._tiles[uid] for uid in uids)])
        column.add_class("lk-node")
        return column

    def _draw_tile(self, tile: PodTile) -> None:
        if tile.uid not in self._tiles:
            self._tiles[tile.uid] = button("", "", lambda: self.choose(tile))
        chosen = ("lk-is-chosen",) if self._chosen and self._chosen.uid == tile.uid else ()
        looks = ("lk-button", "lk-tile", f"lk-{tile.look.name.lower()}", *chosen)
        words = f"{tile.look.value} {tile.name}" + (f" · {tile.status}" if tile.look is not Look.READY else "")
        put(self._tiles[tile.uid], description=words, tooltip=tile.sentence, _dom_classes=looks)

    def _draw_chosen(self, scene: Scene) -> None:
        if chosen := self._chosen:
            now = next((tile for _, tiles in scene.nodes for tile in tiles if tile.uid == chosen.uid), None)
            put(self._facts, value=html(now.sentence if now else f"pod {chosen.name} is gone", "facts"))
            put(self._kill, disabled=now is None or now.look is Look.ENDING)

    def _draw_workloads(self, workloads: tuple[Workload, ...]) -> None:
        named = {f"{each.kind} {each.name}": each for each in workloads}
        for gone in self._rows.keys() - named.keys():
            self._rows.pop(gone).box.close()
        for key, each in named.items():
            self._rows.setdefault(key, WorkloadRow(self)).draw(each)
        put(self._workloads, children=tuple(self._rows[key].box for key in named))


class WorkloadRow:
    """One object that keeps pods, with the control to scale it."""

    def __init__(self, view: LiveView) -> None:
        import ipywidgets as w

        self.view, self._label, self._wanted = view, w.HTML(), w.HTML()
        self._less = button("−", "One pod less", lambda: self._by(-1))
        self.box = row(
            "workload", self._label, self._less, self._wanted, button("+", "One pod more", lambda: self._by(1))
        )

    def draw(self, now: Workload) -> None:
        """Show how it stands."""
        self._now = now
        put(self._label, value=html(f"{now.kind} {now.name} · {now.ready} of {now.wanted} ready", "facts"))
        put(self._wanted, value=html(str(now.wanted), "wanted"))
        put(self._less, disabled=now.wanted == 0)

    def _by(self, change: int) -> None:
        self.view.scale(self._now.resource, self._now.name, self._now.wanted + change)


def head_of(namespace: str, headline: str, troubles: Mapping[str, str]) -> str:
    """Say in a line how the namespace stands; and what cannot be read, each cause once."""
    causes = {why: resource for resource, why in troubles.items() if resource != "nodes"}
    told = [html(f"✗ {resource}: {why}", "trouble") for why, resource in causes.items()]
    return html(f"● namespace {namespace} · {headline}", "head") + "".join(told)
