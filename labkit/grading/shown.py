"""What a hand-in shows, beside what its run shows: flagged, never judged.

An output is a claim. Of a cell's recorded output those lines are told that the new run has not, after the rules that
make runs alike; what the kit itself says is left out. A check's recorded verdict is held against the judge's.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit import normalise, notebook, predict
from labkit.differences import text_of
from labkit.errors import LabError
from labkit.grading import cells

MOST_CELLS, MOST_LINES, MOST_TEXT = 30, 20, 2000
MOST_LINE, MOST_COMPARED, MOST_SHOWN = 400, 1 << 16, 1 << 20  # characters of a line, of a cell's outputs, of all
KIT = re.compile(r"^\s*[•✓✗◐○↯?✎…⚠]|^\s*(expected|found|look|hint:)\s")
NAMESPACE = re.compile(r"\blab-\d\d(-[a-z0-9-]+)?")
RIGHT = re.compile(r"^✓ (\d\d\.\d+) .*: right\b", re.MULTILINE)
REFUSED = re.compile(r"[Ee]rror: |Error from server|error (validating|when) |The \S+ \".*\" is invalid|.*: not found$|"
                     r"\S+: .*No such file or directory")  # fmt: skip
Shown = dict[str, dict[str, Any]]  # by cell: source, lines


def recorded(nb: Any) -> Shown:
    """Return what the code cells of a notebook show, by cell."""
    found = {}
    for cell in compared(nb):
        if not cells.CHECK.search(cell.source):
            found[cells.key(cell)] = {"source": cell.source[:MOST_TEXT], "lines": lines_of(cell)}
    return {name: each for name, each in found.items() if each["lines"]}


def compared(nb: Any) -> Iterator[Any]:
    """Yield the code cells that show something, until they have shown so much that comparing takes seconds."""
    left = MOST_SHOWN
    for cell in nb.cells:
        if cell.cell_type == "code" and cell.get("outputs"):
            size = sum(len(o.get("text") or (o.get("data") or {}).get("text/plain") or "") for o in cell.outputs)
            left -= min(size, MOST_COMPARED)
            if left < 0:
                return
            yield cell


def lines_of(cell: Any) -> list[str]:
    """Return the lines of a cell's outputs that two runs share."""
    text = normalise.text(NAMESPACE.sub("lab", text_of(cell, clipped)))
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not KIT.match(line)]


def clipped(text: str) -> str:
    """Return as much of an output as is compared: the rules take the square of a line's length, or worse."""
    return "\n".join(line[:MOST_LINE] for line in text[:MOST_COMPARED].splitlines())


def claims(nb: Any) -> list[str]:
    """Return the exercises that a notebook's outputs show as right."""
    texts = [text_of(cell, clipped) for cell in compared(nb)]
    return sorted({number for text in texts for number in RIGHT.findall(text)})


def unfounded(claimed: list[str], exercises: list[dict[str, Any]]) -> list[str]:
    """Say which exercises were shown as right and are not."""
    states = {e["number"]: e["state"] for e in exercises}
    return [
        f"the notebook shows {number} as right; judged, it is: {states[number]}"
        for number in claimed
        if states.get(number) not in (None, "right", "could not check")
    ]


def executed(path: Path) -> Any:
    """Return the executed notebook, None where the run has left none that can be read."""
    try:
        return notebook.read(path) if path.exists() and path.stat().st_size else None
    except LabError:
        return None


def differing(shown: Shown, ran: Any) -> list[dict[str, Any]]:
    """Return the cells that show what their run does not: only cells that ran are compared."""
    again = {
        cells.key(cell): lines_of(cell)
        for cell in (compared(ran) if ran else [])
        if (cell.metadata.get("papermill") or {}).get("duration") is not None
    }
    found: list[dict[str, Any]] = []
    for name, each in shown.items():
        if name in again and (missing := [line for line in each["lines"] if line not in again[name]]):
            told = [line[:200] for line in missing[:MOST_LINES]]
            text = "\n".join(again[name])[:MOST_TEXT]
            found.append({"cell": name, "source": each["source"], "shown": told, "again": text})
    return found[:MOST_CELLS]


def refused(ran: Any) -> list[dict[str, Any]]:
    """Return the cells in which a command was refused or failed, with its words: `!kubectl …` fails no cell."""
    found = []
    for cell in ran.cells if ran else []:
        if cell.cell_type == "code":
            said = clipped("\n".join(output.get("text", "") for output in cell.get("outputs", [])))
            if lines := list(dict.fromkeys(line for line in said.splitlines() if REFUSED.match(line))):
                found.append({"source": cell.source[:MOST_TEXT], "said": lines[:MOST_LINES]})
    return found[:MOST_CELLS]


def predictions(ran: Any, numbers: list[str]) -> dict[str, str]:
    """Return the last prediction of each of the lesson's numbers that the run wrote down."""
    said = re.compile(predict.SAID.format(number=r"(\d\d\.\w+)", answer="(.*)"))
    texts = [output.get("text", "") for cell in (ran.cells if ran else []) for output in cell.get("outputs", [])]
    found = {number: answer.strip()[:200] for text in texts for number, answer in said.findall(str(text))}
    return {number: answer for number, answer in found.items() if number in numbers}
