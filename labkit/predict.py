"""Predict before you see: an answer is written down before the output is there, and is never marked.

One JSON line a prediction in predictions.jsonl of the work folder, newest last: lesson, exercise, student, answer,
time. Where the folder cannot be written to, the notebook's own output is the record; a class's answers are read from
the outputs of its notebooks, since these are what is handed in.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit import notebook
from labkit.errors import LabError
from labkit.say import say

FILE = "predictions.jsonl"
SAID = "✎ {number} you expect: {answer}"


class Predictions:
    """The predictions of one student in one lesson."""

    def __init__(self, lesson: str, student: str, folder: Path) -> None:
        self.lesson, self.student, self.file = lesson, student, folder / FILE
        self.made: dict[str, Any] = {}

    def commit(self, number: str, answer: object) -> None:
        """Record an answer and repeat it; an empty one asks for one and is not recorded."""
        if answer is None or (isinstance(answer, str) and answer.strip() in ("", "…", "...")):
            say(f"✎ {number} what do you expect? Write it down before you look: it is not marked")
            return
        self.made[number] = answer
        self._append({"lesson": self.lesson, "exercise": number, "student": self.student, "answer": answer})
        say(SAID.format(number=number, answer=answer))

    def _append(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry | {"time": datetime.now(UTC).isoformat(timespec="seconds")}, default=str)
        try:
            with self.file.open("a") as file:
                file.write(line + "\n")
        except OSError:
            pass  # read-only folder: the cell's output is the record


def load(folder: Path) -> list[dict[str, Any]]:
    """Return all predictions of a folder, oldest first; a line cut off by a crash is left out."""
    try:
        lines = (folder / FILE).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [entry for line in lines if (entry := _read(line)) is not None]


def _read(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None


def of_class(folder: Path, number: str) -> list[str]:
    """Return what the notebooks of a folder, and of those below it, expected: one answer a notebook, its last.

    Answers that differ in case, spaces or a full stop are one, spelled as most spell it. What is no notebook is passed
    over.
    """
    notebooks = sorted(path for path in folder.rglob("*.ipynb") if not path.name.startswith("."))
    return spelled_alike([answers[-1] for path in notebooks if (answers := list(_answers(path, number)))])


def spelled_alike(lasts: list[str]) -> list[str]:
    """Return the answers, those that differ in case, spaces or a full stop spelled as most spell them."""
    spellings = Counter(lasts)
    usual: dict[str, str] = {}
    for answer, _ in spellings.most_common():
        usual.setdefault(_bare(answer), answer)
    return [usual[_bare(answer)] for answer in lasts]


def _answers(path: Path, number: str) -> Iterator[str]:
    said = re.compile(SAID.format(number=re.escape(number), answer="(.*)"))
    try:
        cells = notebook.read(path).cells
    except LabError:
        return
    for cell in cells:
        for output in cell.get("outputs", []):
            yield from (match[1].strip() for match in said.finditer(output.get("text", "")))


def _bare(answer: str) -> str:
    return " ".join(answer.casefold().split()).rstrip(".")
