"""The matrix of objects × labels: labels are many-to-many, and here one sees it.

Columns are the pairs key=value that occur, grouped by key; a dot says that the object carries the pair. Rows that a
selector picks are marked by a triangle and a band, never by colour alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from labkit.draw.card import CHARACTER, COLOURS, MARGIN, TOP, card, wide_enough
from labkit.draw.picture import Picture

DOT, NO_DOT, MARK = "●", "·", "▸"

LINE, GAP = 30, 26  # pixels: a row's height, between two groups


@dataclass(frozen=True)
class Row:
    """One object: its name, its labels, and whether the selector picked it."""

    name: str
    labels: dict[str, str]
    chosen: bool = False


@dataclass(frozen=True)
class Column:
    """One pair key=value."""

    key: str
    value: str

    def marks(self, row: Row) -> bool:
        """Tell whether the object carries the pair."""
        return row.labels.get(self.key) == self.value


def matrix(rows: list[Row], *, title: str, highlight: str = "") -> Picture:
    """Draw the matrix, or say that there is nothing to draw."""
    columns = columns_of(rows)
    return Picture(svg(rows, columns, title, highlight), text(rows, columns, title, highlight))


def columns_of(rows: Iterable[Row]) -> list[Column]:
    """Return the pairs that occur, sorted by key and value."""
    pairs = {(key, value) for row in rows for key, value in row.labels.items()}
    return [Column(key, value) for key, value in sorted(pairs)]


def groups_of(columns: list[Column]) -> list[tuple[str, list[Column]]]:
    """Group columns by key, in order."""
    groups: dict[str, list[Column]] = {}
    for column in columns:
        groups.setdefault(column.key, []).append(column)
    return list(groups.items())


def caption(rows: list[Row], highlight: str) -> str:
    """Say in words what the marks say."""
    if not rows:
        return "no objects here"
    if not highlight:
        return f"{len(rows)} objects"
    chosen = [row.name for row in rows if row.chosen]
    return f"{MARK} picked by {highlight}: {len(chosen)} of {len(rows)}"


def text(rows: list[Row], columns: list[Column], title: str, highlight: str) -> str:
    """Write the matrix in aligned characters: two header lines, then a line an object."""
    groups = groups_of(columns)
    widths = {key: _group_width(key, cells) for key, cells in groups}
    first = max((len(row.name) for row in rows), default=0) + 2
    heads = [" " * first, " " * first]
    for key, cells in groups:
        heads[0] += "  " + key.ljust(widths[key])
        heads[1] += "  " + "  ".join(_label(c).ljust(_width(c)) for c in cells).ljust(widths[key])
    lines = [f"{title} ({caption(rows, highlight)})", *(heads if groups else [])]
    for row in rows:
        line = f"{MARK if row.chosen else ' '} {row.name}".ljust(first)
        for key, cells in groups:
            dots = "  ".join((DOT if c.marks(row) else NO_DOT).ljust(_width(c)) for c in cells)
            line += "  " + dots.ljust(widths[key])
        lines.append(line)
    return "\n".join(line.rstrip() for line in lines)


def svg(rows: list[Row], columns: list[Column], title: str, highlight: str) -> str:
    """Draw the matrix on a card."""
    names = max([len(row.name) for row in rows] + [10]) * CHARACTER + 24
    places, right = _places(columns, MARGIN + names + GAP)
    words = caption(rows, highlight)
    width = wide_enough(right + MARGIN, title, words)  # the bands of the rows end with the card
    top = TOP + 44 if columns else TOP
    body = [
        *_headers(columns, places),
        *(_line(row, columns, places, top + LINE * i, width) for i, row in enumerate(rows)),
    ]
    size = width, top + LINE * len(rows) + MARGIN
    return card(title, words, _description(rows, words), size, "".join(body), _STYLE)


_STYLE = ".no{fill:#c3c9d5}@media(prefers-color-scheme:dark){.no{fill:#4b5466}}"


def _places(columns: list[Column], left: float) -> tuple[dict[Column, float], float]:
    """Lay the columns out from left to right: the centre of each, and where the last group ends."""
    places: dict[Column, float] = {}
    for key, cells in groups_of(columns):
        widths = [max(len(_label(c)) * CHARACTER, 26) + 14 for c in cells]
        widths[-1] += max(0, len(key) * CHARACTER + 8 - sum(widths))
        for cell, cell_width in zip(cells, widths, strict=True):
            places[cell] = left + max(len(_label(cell)) * CHARACTER, 26) / 2
            left += cell_width
        left += GAP - 14
    return places, left


def _headers(columns: list[Column], places: dict[Column, float]) -> list[str]:
    parts = []
    for number, (key, cells) in enumerate(groups_of(columns)):
        left = places[cells[0]] - max(len(_label(cells[0])) * CHARACTER, 26) / 2
        right = places[cells[-1]] + max(len(_label(cells[-1])) * CHARACTER, 26) / 2
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f"<text class='key' x='{left:.0f}' y='82'>{escape(key)}</text>")
        parts.append(f"<rect x='{left:.0f}' y='88' width='{right - left:.0f}' height='3' rx='1.5' fill='{colour}'/>")
        for cell in cells:
            label = escape(_label(cell))
            parts.append(f"<text class='quiet' x='{places[cell]:.0f}' y='108' text-anchor='middle'>{label}</text>")
    return parts


def _line(row: Row, columns: list[Column], places: dict[Column, float], y: float, width: float) -> str:
    middle = y + LINE / 2
    parts = []
    if row.chosen:
        band = f"x='{MARGIN - 8}' y='{y + 2:.0f}' width='{width - 2 * MARGIN + 16:.0f}' height='{LINE - 4}' rx='6'"
        parts.append(f"<rect class='band' {band}/>")
    else:
        parts.append(f"<path class='grid' d='M{MARGIN} {y + LINE:.0f}H{width - MARGIN:.0f}'/>")
    mark = f"{MARK} " if row.chosen else ""
    parts.append(f"<text class='name' x='{MARGIN}' y='{middle + 4:.0f}'>{mark}{escape(row.name)}</text>")
    colours = {key: COLOURS[n % len(COLOURS)] for n, (key, _) in enumerate(groups_of(columns))}
    for column in columns:
        carried = column.marks(row)
        look = f"r='7' fill='{colours[column.key]}'" if carried else "r='2' class='no'"
        parts.append(f"<circle cx='{places[column]:.0f}' cy='{middle:.0f}' {look}/>")
    return "".join(parts)


def _description(rows: list[Row], words: str) -> str:
    lines = [f"{r.name}: " + (", ".join(f"{k}={v}" for k, v in sorted(r.labels.items())) or "no labels") for r in rows]
    return "; ".join([words, *lines])


def _label(column: Column) -> str:
    return column.value or '""'


def _width(column: Column) -> int:
    return len(_label(column))


def _group_width(key: str, cells: list[Column]) -> int:
    return max(len(key), sum(_width(c) for c in cells) + 2 * (len(cells) - 1))
