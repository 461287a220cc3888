"""A graph as boxes on a card: a column for each step away from the roots, a row for each end, arrows between.

Many that were folded are a pile of boxes; what is gone has a broken line; a change has a badge, never colour alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from labkit.draw.card import CHARACTER, COLOURS, MARGIN, TOP, card
from labkit.draw.graph import GONE, MARKS, MOST, Graph, Node, caption, compare, first, fold, text
from labkit.draw.picture import Picture

# No two that are drawn together have one colour; a Service begins anew.
KINDS = ("Deployment", "ReplicaSet", "Pod", "PersistentVolumeClaim", "PersistentVolume", "StorageClass",
         "Service", "Node")  # fmt: skip

HEIGHT, ROW, GAP = 46, 62, 54  # pixels: a box, from box to box below, between columns
LONGEST = 30  # characters of a title; the text twin and the description have all of them


@dataclass(frozen=True, repr=False)
class GraphPicture(Picture):
    """A picture that remembers what it shows, so that a later one can tell what has changed."""

    graph: Graph


def draw(graph: Graph, title: str, *, since: Graph | None = None) -> GraphPicture:
    """Draw the graph, marking what has changed since an earlier one."""
    whole = fold(compare(since, graph) if since is not None else graph)
    shown = first(whole, MOST)
    words = caption(shown, len(whole.nodes) - len(shown.nodes), compared=since is not None)
    return GraphPicture(svg(shown, title, words), text(shown, title, words), graph)


def svg(graph: Graph, title: str, words: str) -> str:
    """Draw boxes on a card: a column for each step away from the roots, a row for each end."""
    columns, rows = columns_of(graph), rows_of(graph)
    widths = [0.0] * (max(columns.values(), default=-1) + 1)
    for node in graph.nodes:
        widths[columns[node.key]] = max(widths[columns[node.key]], _width(node))
    lefts = [MARGIN + sum(widths[:i]) + GAP * i for i in range(len(widths))]
    boxes = {
        node.key: Box(node, lefts[columns[node.key]], TOP + ROW * rows[node.key], widths[columns[node.key]])
        for node in graph.nodes
    }
    body = [boxes[start].arrow_to(boxes[end]) for start in boxes for end in graph.after(start)]
    body += [box.drawn(colour_of(box.node.kind)) for box in boxes.values()]
    size = (lefts[-1] + widths[-1] if widths else 0) + MARGIN, TOP + ROW * (max(rows.values(), default=-1) + 1) + 6
    return card(title, words, "; ".join([words, *_sentences(graph)]), size, "".join(body), _STYLE)


def colour_of(kind: str) -> str:
    """Return the colour that a kind has in every picture; those that are rarely drawn share one by their length."""
    return COLOURS[(KINDS.index(kind) if kind in KINDS else len(kind)) % len(COLOURS)]


def shortened(title: str) -> str:
    """Return a title that fits into a box: of a long one the beginning and the end, by which it is told from others."""
    return title if len(title) <= LONGEST else f"{title[: LONGEST - 6]}…{title[-5:]}"


def columns_of(graph: Graph) -> dict[str, int]:
    """Return how many steps each node is from its farthest root."""
    columns = dict.fromkeys(graph.named, 0)
    for _ in graph.nodes:
        columns = {key: max([0, *(columns[each] + 1 for each in graph.before(key))]) for key in columns}
    return columns


def rows_of(graph: Graph) -> dict[str, float]:
    """Return each node's row: an end takes the next free one, another the middle of those that it is first to reach."""
    rows: dict[str, float] = {}
    met: set[str] = set()
    ends = 0

    def place(key: str) -> float:
        nonlocal ends
        met.add(key)
        behind = [place(each) for each in graph.after(key) if each not in met]
        if not behind:
            behind, ends = [float(ends)], ends + 1
        rows[key] = (behind[0] + behind[-1]) / 2
        return rows[key]

    for root in graph.roots():
        place(root)
    return rows


@dataclass(frozen=True)
class Box:
    """A node on the card: its upper left corner and its width, in pixels."""

    node: Node
    x: float
    y: float
    width: float

    def drawn(self, colour: str) -> str:
        """Draw it: many as a pile of three, what is gone with a broken line, a change with a badge."""
        pile = [8, 4] if self.node.count > 1 else []
        badge = f"{MARKS[self.node.change]} {self.node.change}" if self.node.change else ""
        title = escape(shortened(self.node.title))
        return "".join(
            [
                *(self._rectangle(shift) for shift in [*pile, 0]),
                f"<rect x='{self.x:.0f}' y='{self.y:.0f}' width='5' height='{HEIGHT}' rx='2.5' fill='{colour}'/>",
                f"<text class='name' x='{self.x + 16:.0f}' y='{self.y + 19:.0f}'>{title}</text>",
                f"<text class='quiet' x='{self.x + 16:.0f}' y='{self.y + 36:.0f}'>{escape(self.node.note)}</text>",
                f"<text class='key' x='{self.x + self.width - 10:.0f}' y='{self.y + 19:.0f}' text-anchor='end'>"
                f"{badge}</text>" * bool(badge),
            ]
        )

    def _rectangle(self, shift: int) -> str:
        look = f"box {self.node.change}".strip()
        place = f"x='{self.x + shift:.0f}' y='{self.y + shift:.0f}' width='{self.width:.0f}' height='{HEIGHT}'"
        return f"<rect class='{look}' {place} rx='6'/>"

    def arrow_to(self, other: "Box") -> str:
        """Draw the arrow from its right side to the other's left."""
        left, right = self.x + self.width, other.x - 5
        start, end = self.y + HEIGHT / 2, other.y + HEIGHT / 2
        middle = right - GAP / 2
        look = " gone" if GONE in (self.node.change, other.node.change) else ""
        line = f"M{left:.0f} {start:.0f}H{middle - 12:.0f}C{middle + 8:.0f} {start:.0f} {middle - 8:.0f} {end:.0f}"
        head = f"M{right - 6:.0f} {end - 4:.0f}L{right:.0f} {end:.0f}L{right - 6:.0f} {end + 4:.0f}"
        return f"<path class='edge{look}' d='{line} {middle + 12:.0f} {end:.0f}H{right:.0f}{head}'/>"


_STYLE = (
    ".box{fill:#f6f7fa;stroke:#9aa3b5}.box.new,.box.changed{fill:#fff3d1;stroke:#b98900}"
    ".box.gone{fill:none}.gone{stroke-dasharray:5 4}.edge{fill:none;stroke:#6c7689;stroke-width:1.3}"
    "@media(prefers-color-scheme:dark){.box{fill:#262c37;stroke:#5a6579}"
    ".box.new,.box.changed{fill:#3d3414;stroke:#d9ab2b}.edge{stroke:#98a3b8}}"
)


def _width(node: Node) -> float:
    badge = len(node.change) + 4 if node.change else 0
    return max((len(shortened(node.title)) + badge) * CHARACTER, len(node.note) * CHARACTER) + 30


def _sentences(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        above = " and ".join(graph.named[key].title for key in graph.before(node.key))
        words = [node.title, node.note, f"below {above}" if above else "", node.change]
        yield ", ".join(filter(None, words))
