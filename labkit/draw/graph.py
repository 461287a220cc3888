"""A picture of what hangs on what: nodes, and edges from each to what hangs on it.

The core below draw.owners: it knows nothing of Kubernetes. From two graphs of the same things, `compare` marks what is
new, gone or changed; `fold` makes one node of many that are alike, so that three replicas are one box with a 3 on it.

Invariants: the order of the nodes given decides the order drawn, so equal graphs give equal pictures; at most MOST are
drawn, and the caption tells of the rest. Nothing here hangs on itself, so cycles are not thought of.

The text twin is a tree, a line a node; a node that hangs on two others is written in full once, then by name and ↑.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

MOST = 12  # nodes in a picture
SAME, NEW, GONE, CHANGED = "", "new", "gone", "changed"
MARKS = {SAME: " ", CHANGED: "~", NEW: "+", GONE: "-"}


@dataclass(frozen=True)
class Node:
    """One thing, or `count` things that are alike.

    key    what makes it itself: another key is another thing
    note   what may change about it
    herd   things of one herd may be folded into one node; "" is a thing that has a name of its own
    """

    key: str
    kind: str
    name: str
    note: str = ""
    herd: str = ""
    change: str = SAME
    count: int = 1

    @property
    def title(self) -> str:
        """The node in a few words: Pod web, 3 × Pod."""
        return f"{self.count} × {self.kind}" if self.count > 1 else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they are drawn, and edges as pairs of keys."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...] = ()

    @cached_property
    def named(self) -> dict[str, Node]:
        """The nodes by key."""
        return {node.key: node for node in self.nodes}

    @cached_property
    def _after(self) -> dict[str, list[str]]:
        place = {key: number for number, key in enumerate(self.named)}
        return {
            key: sorted({end for start, end in self.edges if start == key and end in place}, key=place.__getitem__)
            for key in self.named
        }

    @cached_property
    def _before(self) -> dict[str, list[str]]:
        return {key: [each for each, ends in self._after.items() if key in ends] for key in self.named}

    def after(self, key: str) -> list[str]:
        """Return the keys of what follows directly."""
        return self._after[key]

    def before(self, key: str) -> list[str]:
        """Return the keys of what it hangs on."""
        return self._before[key]

    def roots(self) -> list[str]:
        """Return the keys of what hangs on nothing."""
        return [key for key in self.named if not self.before(key)]

    def walk(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each node, depth first from the roots, with the keys above it; again where it hangs on another."""
        stack: list[tuple[str, tuple[str, ...]]] = [(key, ()) for key in reversed(self.roots())]
        met: set[str] = set()
        while stack:
            key, above = stack.pop()
            yield key, above
            if key not in met:
                met.add(key)
                stack += [(each, (*above, key)) for each in reversed(self.after(key))]


def below(graph: Graph, titles: Collection[str]) -> Graph:
    """Return the part of the graph that hangs on the nodes titled so (kind/name, lower-case kind); all when none is."""
    if not titles:
        return graph
    kept: set[str] = set()
    for key, above in graph.walk():
        node = graph.named[key]
        if f"{node.kind.lower()}/{node.name}" in titles or kept & set(above[-1:]):
            kept.add(key)
    return Graph(tuple(n for n in graph.nodes if n.key in kept), graph.edges)


def compare(before: Graph, after: Graph) -> Graph:
    """Mark what is new, gone (it stays in the graph) or changed: its note, or what it hangs on.

    A herd's nodes come in the order of their marks: their names, made up, would give another order at every run.
    """
    marked = [replace(node, change=_change(node, before, after)) for node in after.nodes]
    marked.sort(key=lambda node: list(MARKS).index(node.change) if node.herd else 0)
    gone = [replace(node, change=GONE) for node in before.nodes if node.key not in after.named]
    left = {node.key for node in gone}
    return Graph((*marked, *gone), (*after.edges, *(edge for edge in before.edges if left & set(edge))))


def _change(node: Node, before: Graph, after: Graph) -> str:
    old = before.named.get(node.key)
    if old is None:
        return NEW
    moved = set(before.before(node.key)) != set(after.before(node.key))
    return CHANGED if moved or old.note != node.note else SAME


def fold(graph: Graph) -> Graph:
    """Make one node of those of a herd that look alike and hang on, and bear, the same."""
    alike: dict[tuple, list[Node]] = {}
    for node in graph.nodes:
        look = node.kind, node.note, node.herd, node.change
        place = tuple(graph.before(node.key)), tuple(graph.after(node.key))
        alike.setdefault((look, place) if node.herd else (node.key,), []).append(node)
    into = {node.key: nodes[0].key for nodes in alike.values() for node in nodes}
    edges = dict.fromkeys((into[start], into[end]) for start, end in graph.edges if {start, end} <= into.keys())
    return Graph(tuple(replace(nodes[0], count=len(nodes)) for nodes in alike.values()), tuple(edges))


def first(graph: Graph, most: int) -> Graph:
    """Return the first so many nodes, as they are met from the roots on."""
    kept = list(dict.fromkeys(key for key, _ in graph.walk()))[:most]
    return Graph(tuple(node for node in graph.nodes if node.key in kept), graph.edges)


def caption(graph: Graph, left_out: int, *, compared: bool) -> str:
    """Say in words what the marks say."""
    if not graph.nodes:
        return "no objects here"
    total = sum(node.count for node in graph.nodes if node.change != GONE)
    words = [f"{total} object{'s' * (total != 1)}"]
    if compared:
        words += _changes(graph) or ["nothing changed"]
    return ", ".join([*words, *([f"{left_out} more not drawn"] if left_out else [])])


def _changes(graph: Graph) -> list[str]:
    counts = {c: sum(node.count for node in graph.nodes if node.change == c) for c in (NEW, CHANGED, GONE)}
    return [f"{MARKS[change]} {count} {change}" for change, count in counts.items() if count]


def text(graph: Graph, title: str, words: str) -> str:
    """Write the graph as a tree: marks in the first column, a line a node."""
    lines = [f"{title} ({words})"]
    told: set[str] = set()
    for key, above in graph.walk():
        node = graph.named[key]
        what = f"{node.title} ↑" if key in told else " · ".join(filter(None, (node.title, node.note)))
        lines.append(f"{MARKS[node.change]} {_branches(graph, key, above)}{what}")
        told.add(key)
    return "\n".join(lines)


def _branches(graph: Graph, key: str, above: tuple[str, ...]) -> str:
    """Return the lines that lead to a node of the tree: │ where an elder has more to come."""
    if not above:
        return ""
    path = (*above, key)
    ends = [graph.after(path[i])[-1] == path[i + 1] for i in range(len(above))]
    return "".join("   " if last else "│  " for last in ends[:-1]) + ("└─ " if ends[-1] else "├─ ")
