"""Which cells of a lesson say different things on different clusters, after the rules that make runs alike.

Cells are matched by their id. Left out are cells that may differ: those tagged `needs:…` or `cluster-wide`, which a
cluster that cannot do the step skips, and the parameters. A picture speaks by its text twin.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labkit import normalise, notebook

MAY_DIFFER = ("needs:", "cluster-wide", "parameters", "injected-parameters")


@dataclass(frozen=True)
class Difference:
    """One cell that says different things: what, by cluster."""

    lesson: str
    cell: str
    source: str
    said: dict[str, str]


def find(lesson: str, by_cluster: dict[str, Any]) -> list[Difference]:
    """Compare the executed notebooks of one lesson, cell by cell, in the first one's order."""
    texts = {cluster: {c.id: text_of(c) for c in compared(nb)} for cluster, nb in by_cluster.items()}
    first = next(iter(by_cluster.values()))
    found = []
    for cell in compared(first):
        said = {cluster: of[cell.id] for cluster, of in texts.items() if cell.id in of}
        if len(set(said.values())) > 1:
            found.append(Difference(lesson, cell.id, cell.source, said))
    return found


def compared(nb: Any) -> list[Any]:
    """Return the code cells that ran and must be alike everywhere."""
    return [cell for cell in nb.cells if cell.cell_type == "code" and _ran(cell) and not _may_differ(cell)]


def text_of(cell: Any, clip: Callable[[str], str] = str) -> str:
    """Return what a cell said, as text: each stream whole, since how two of them mix depends on timing."""
    streams = {name: "".join(o.text for o in cell.outputs if o.get("name") == name) for name in ("stdout", "stderr")}
    others = [_text(output) for output in cell.outputs if output.output_type != "stream"]
    return "\n".join(normalise.text(clip(text)).rstrip("\n") for text in (*streams.values(), *others) if text)


def seconds(by_cluster: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return how long each code cell took, by cell and cluster, in seconds."""
    table: dict[str, dict[str, float]] = {}
    for cluster, nb in by_cluster.items():
        for cell in nb.cells:
            if cell.cell_type == "code" and _ran(cell):
                table.setdefault(cell.id, {})[cluster] = round(cell.metadata["papermill"]["duration"], 2)
    return table


def _ran(cell: Any) -> bool:
    return cell.metadata.get("papermill", {}).get("duration") is not None


def _may_differ(cell: Any) -> bool:
    return any(tag.startswith(MAY_DIFFER) for tag in notebook.tags(cell))


def _text(output: Any) -> str:
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return output.data.get("text/plain", "")
