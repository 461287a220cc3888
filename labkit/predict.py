"""Predict before you see: an answer is written down before the output is there, and is never marked.

One JSON line a prediction in predictions.jsonl of the work folder, newest last: lesson, exercise, student, answer,
time. Where the folder cannot be written to, the notebook's own output is the record.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.say import say

FILE = "predictions.jsonl"


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
        say(f"✎ {number} you expect: {answer}")

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
