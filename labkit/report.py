"""The page that a run leaves: out/index.html, one file without anything from elsewhere.

The matrix of lessons and clusters with times and links; what each cluster is; per lesson the slowest cells, and the
cells that say different things on different clusters, side by side. Its form is report.html.j2.
"""

import datetime
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit import __version__, differences, notebook
from labkit.errors import LabError
from labkit.results import Report
from labkit.worker import Result

SLOWEST = 5  # cells shown a lesson


def write_index(out: Path, report: Report) -> Path:
    """Write the page beside the executed notebooks; return its path."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    forms = Environment(loader=PackageLoader("labkit", "."), autoescape=True, undefined=StrictUndefined)
    page = out / "index.html"
    page.write_text(
        forms.get_template("report.html.j2").render(
            summary=summary(report.in_order(), len(report.missing())),
            now=f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
            kit=__version__,
            names=list(dict.fromkeys(job.cluster for job in report.jobs)),
            clusters=report.clusters,
            lessons=_lessons(out, report),
        )
    )
    return page


def summary(results: Sequence[Result], missing: int = 0) -> str:
    """Say in one line how all the runs ended."""
    failed = sum(not r.passed for r in results)
    runs = f"{len(results)} run{'s' if len(results) != 1 else ''} in {sum(r.seconds for r in results):.0f} s"
    told = f"{failed} failed" if failed else "all cells ended well"
    return f"{runs}, {told}" + (f", {missing} not run" if missing else "")


def title_of(path: Path) -> tuple[str, str]:
    """Return a notebook's first heading and the first paragraph after it."""
    try:
        cells = notebook.read(path).cells
    except LabError:
        return path.stem, ""
    prose = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    lines = [" ".join(block.split()) for block in prose.split("\n\n")]
    start = next((i for i, line in enumerate(lines) if line.startswith("# ")), None)
    if start is None:
        return path.stem, ""
    rest = (line for line in lines[start + 1 :] if line and line[0] not in "#<|>")
    return lines[start].lstrip("# "), next(rest, "").replace("*", "").replace("`", "")


def marked(texts: dict[str, str]) -> dict[str, list[tuple[bool, str]]]:
    """Split each text into lines, each with whether it differs from the first text's."""
    first = next(iter(texts.values())).splitlines()
    told = {name: _marked(first, text.splitlines()) for name, text in texts.items()}
    others = [text.splitlines() for text in texts.values()][1:]
    return told | {next(iter(texts)): [(any(line not in other for other in others), line) for line in first]}


def _marked(first: list[str], lines: list[str]) -> list[tuple[bool, str]]:
    matches = difflib.SequenceMatcher(a=first, b=lines, autojunk=False).get_matching_blocks()
    same = {match.b + offset for match in matches for offset in range(match.size)}
    return [(index not in same, line) for index, line in enumerate(lines)]


def _lessons(out: Path, report: Report) -> list[dict[str, Any]]:
    """Gather a row of the matrix for each lesson: its title, its runs by cluster, its cells worth a look."""
    rows: dict[str, dict[str, Any]] = {}
    for job in report.jobs:
        if job.name not in rows:
            title, about = title_of(Path(job.notebook))
            rows[job.name] = {"name": job.name, "title": title, "about": about, "runs": {}, "differences": []}
        page = os.path.relpath(Path(job.out).with_suffix(""), out.absolute())
        rows[job.name]["runs"][job.cluster] = {"result": report.of(job), "page": page}
    for each in report.differences():
        rows[each.lesson]["differences"].append({"cell": each.cell, "source": each.source, "said": marked(each.said)})
    for name, row in rows.items():
        times = differences.seconds(report.executed.get(name, {}))
        row["slowest"] = dict(sorted(times.items(), key=lambda item: -max(item[1].values()))[:SLOWEST])
    return list(rows.values())
