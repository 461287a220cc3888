"""The marks of a batch as files: grades.csv (a column an item) and results.json; schema: results.schema.json.

Two runs of the same hand-ins give the same grades.csv, byte for byte. An item that could not be checked is an empty
field, and the student's total is empty too: it is a person's to give, never a zero.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any

from labkit import __version__
from labkit.grading.worker import write_whole
from labkit.rubric import Rubric

Result = dict[str, Any]


def write(out: Path, rubric: Rubric, results: list[Result], alike: list[Result]) -> None:
    """Write both files."""
    write_whole(out / "grades.csv", table(rubric, results))
    whole = {"version": 1, "kit": __version__, "lesson": rubric.lesson, "results": results, "similar": alike}
    write_whole(out / "results.json", json.dumps(whole, indent=1))


def table(rubric: Rubric, results: list[Result]) -> str:
    """Return grades.csv."""
    columns = [(e.number, item.name) for _, e in sorted(rubric.exercises.items()) for item in e.items]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["student", "points", "of", *(f"{number} {name}" for number, name in columns), "remark"])
    of = sum(item.points for e in rubric.exercises.values() for item in e.items)
    for result in results:
        items = {(e["number"], i["name"]): i for e in result["exercises"] for i in e["items"]}
        points = [(items.get(column) or {}).get("points") for column in columns]
        writer.writerow(
            [_safe(result["student"]), _plain(total(result)), _plain(of), *map(_plain, points), _remark(result)]
        )
    return text.getvalue()


def line(result: Result) -> str:
    """Say in a line how a hand-in stands."""
    if result.get("trouble"):
        return f"✗ {result['student']}: could not be graded: {result['trouble'].splitlines()[0]}"
    items = [item for e in result["exercises"] for item in e["items"]]
    of, points = sum(item["of"] for item in items), total(result)
    said = "a person must look" if points is None else f"{points:g} of {of:g}"
    return f"✓ {result['student']}: {said} ({result['seconds']} s)"


def total(result: Result) -> float | None:
    """Return a hand-in's points; None when a person must look first."""
    points = [item["points"] for e in result["exercises"] for item in e["items"]]
    return float(sum(points)) if points and None not in points else None


def _remark(result: Result) -> str:
    if result.get("trouble") and total(result) is None:
        return "could not be graded"
    if result.get("unreadable"):
        return "not a notebook"
    return "to be marked by hand" if total(result) is None else ""


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _safe(name: str) -> str:
    """Keep a spreadsheet from reading a name as a formula."""
    return f"'{name}" if name[:1] in "=+-@" else name
