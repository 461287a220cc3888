"""Marks that a person gives: read from a CSV, kept in marks.json beside the results, and put over what was judged.

The CSV is grades.csv itself with fields filled in, or a line a mark: student, item, points, comment; an item is named
as grades.csv heads its column. What the grader judged stays in the results as it was. A mark is never overwritten in
silence: an import that would change one changes nothing, and says which, unless it is told to.
"""

import copy
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.errors import LabError
from labkit.grading.worker import write_whole
from labkit.rubric import Rubric

FILE = "marks.json"
OTHERS = ("points", "of", "remark")  # columns of grades.csv that are no items
Result = dict[str, Any]
Marks = dict[str, dict[str, dict[str, Any]]]  # by student and item


@dataclass(frozen=True)
class Mark:
    """One mark as the file has it."""

    student: str
    item: str
    points: float
    comment: str
    line: int


def columns(rubric: Rubric) -> dict[str, float]:
    """Return the items as grades.csv heads their columns, each with the points that it is worth."""
    return {f"{e.number} {i.name}": i.points for _, e in sorted(rubric.exercises.items()) for i in e.items}


def read(file: Path, rubric: Rubric, results: list[Result]) -> list[Mark]:
    """Read the marks of a CSV; raises LabError naming file, line and field."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{file} cannot be read", value=error, expected="a CSV in UTF-8") from None
    head = (lines or [""])[0]
    reader = csv.DictReader(lines, delimiter=";" if ";" in head and "," not in head else ",")
    there, known = {r["student"] for r in results}, columns(rubric)
    one_a_line = "item" in (reader.fieldnames or [])
    found = []
    for row in reader:
        where = f"{file}:{reader.line_num}"
        student = (row.get("student") or "").removeprefix("'")
        if student not in there:
            raise LabError(f"{where}: student: nobody of that name was graded", value=student or "an empty field")
        wide = [(name, value) for name, value in row.items() if name not in ("student", *OTHERS)]
        given = [(row["item"], row["points"])] if one_a_line else wide
        for item, value in given:
            if item not in known:
                raise LabError(f"{where}: no such item", value=item, expected=f"one of: {'; '.join(known)}")
            if (value or "").strip():
                points = _points(f"{where}: {item}", str(value), known[item])
                found.append(Mark(student, item, points, row.get("comment") or "", reader.line_num))
    return found if one_a_line else [m for m in found if m.points != judged(results, m)]


def _points(where: str, text: str, most: float) -> float:
    try:
        points = float(text.strip().replace(",", "."))
    except ValueError:
        points = -1.0
    if not 0 <= points <= most:
        raise LabError(f"{where}: no such number of points", value=text, expected=f"0 to {most:g}")
    return points


def judged(results: list[Result], mark: Mark) -> float | None:
    """Return the points that stand for the mark's item now."""
    named = (name_and_item for r in results if r["student"] == mark.student for name_and_item in items_of(r))
    return next((item["points"] for name, item in named if name == mark.item), None)


def items_of(result: Result) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a result's items, each with its name in grades.csv."""
    for exercise in result["exercises"]:
        for item in exercise["items"]:
            yield f"{exercise['number']} {item['name']}", item


def load(out: Path) -> Marks:
    """Return the marks that were given so far."""
    try:
        return dict(json.loads((out / FILE).read_text()))
    except FileNotFoundError:
        return {}


def give(out: Path, given: list[Mark], *, overwrite: bool = False) -> int:
    """Keep the marks; return how many are new or changed; raises LabError when one would be changed in silence."""
    marks = load(out)
    before = {(m.student, m.item): marks.get(m.student, {}).get(m.item, {}) for m in given}
    changing = [(m, b) for m in given if (b := before[m.student, m.item]) and b["points"] != m.points]
    if changing and not overwrite:
        told = [f"line {m.line}: {m.student}, {m.item}: {m.points:g} instead of {b['points']:g}" for m, b in changing]
        raise LabError(
            f"{len(changing)} marks were given before and would change; nothing was imported",
            value="; ".join(told[:5]),
            next_step="--overwrite changes them, and keeps what they were",
        )
    now, count = datetime.now(UTC).isoformat(timespec="seconds"), 0
    for m in given:
        earlier = before[m.student, m.item]
        if (earlier.get("points"), earlier.get("comment")) == (m.points, m.comment):
            continue
        was = [*earlier.get("was", []), {k: earlier[k] for k in ("points", "comment", "at")}] if earlier else []
        marks.setdefault(m.student, {})[m.item] = {"points": m.points, "comment": m.comment, "at": now, "was": was}
        count += 1
    write_whole(out / FILE, json.dumps(marks, indent=1, sort_keys=True))
    return count


def over(results: list[Result], marks: Marks) -> list[Result]:
    """Return the results with the marks put over what was judged; each item keeps what the grader gave."""
    results = copy.deepcopy(results)
    for result in results:
        for name, item in items_of(result):
            if mark := marks.get(result["student"], {}).get(name):
                item |= {"by_hand": {"comment": mark["comment"], "judged": item["points"]}, "points": mark["points"]}
    return results
