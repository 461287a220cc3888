"""The marks as pages that need nothing else: one a student (feedback/NAME.html), one of the class (index.html)."""

import statistics
from pathlib import Path
from typing import Any

from labkit.grading.results import Result, total
from labkit.grading.worker import write_whole
from labkit.rubric import Rubric
from labkit.verdict import COLOURS, MARKS, State


def write(out: Path, rubric: Rubric, results: list[Result]) -> None:
    """Write all pages."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    pages = Environment(
        loader=PackageLoader("labkit.grading", "."), autoescape=select_autoescape(default=True), trim_blocks=True
    )
    pages.globals |= {"mark": mark, "colour": colour, "total": total}
    for result in results:
        write_whole(
            out / "feedback" / f"{result['student']}.html", pages.get_template("feedback.html.j2").render(r=result)
        )
    shown = {"lesson": rubric.lesson, "results": results, "items": difficulty(results), "bars": bars(results)}
    write_whole(out / "index.html", pages.get_template("class.html.j2").render(**shown, figures=figures(results)))


def mark(state: str) -> str:
    """Return a state's sign."""
    return MARKS[State(state)]


def colour(state: str) -> str:
    """Return a state's colour."""
    return COLOURS[State(state)]


def difficulty(results: list[Result]) -> list[dict[str, Any]]:
    """Return how many got each item right, hardest first; who could not be checked is not counted."""
    seen: dict[tuple[str, str], list[bool]] = {}
    for result in results:
        for exercise in result["exercises"]:
            for item in exercise["items"]:
                if item["points"] is not None:
                    seen.setdefault((exercise["number"], item["name"]), []).append(item["state"] == State.RIGHT.value)
    items = [{"number": n, "name": name, "right": sum(r), "of": len(r)} for (n, name), r in seen.items()]
    return sorted(items, key=lambda i: (i["right"] / i["of"], i["number"], i["name"]))


def bars(results: list[Result]) -> list[tuple[str, int]]:
    """Return how many have each number of points, from none to all."""
    points = [t for t in map(total, results) if t is not None]
    return [(f"{value:g}", points.count(value)) for value in sorted(set(points))]


def figures(results: list[Result]) -> dict[str, float]:
    """Return mean and median of the points, and the median of the seconds."""
    points = [t for t in map(total, results) if t is not None] or [0.0]
    times = [r["seconds"] for r in results] or [0.0]
    return {"mean": statistics.mean(points), "median": statistics.median(points), "seconds": statistics.median(times)}
