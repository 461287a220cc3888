"""What is done with results that are there: judged again by a changed rubric, marked by hand, written as pages.

Nothing is executed. An item of a trial that is new or has changed waits for another run: then the result keeps its old
key, so that `--resume` grades the hand-in again.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit import notebook, rubric
from labkit.errors import ClusterError, LabError
from labkit.grading import cells, judge, kept, marks, pages, similar
from labkit.grading import results as files
from labkit.grading.batch import FOLDER, MADE, Batch, made, results
from labkit.grading.batch import prepare as prepare_batch
from labkit.grading.worker import write_whole

Result = dict[str, Any]


def prepare(out: Path, lesson: str, given: Path | None, *, recheck: bool) -> Batch:
    """Return the batch of a folder's results, by the rubric as it is now; raises LabError when there is none."""
    there = made(out)
    if not there:
        raise LabError(f"{out} holds no results", next_step="labkit grade SUBMISSIONS --lesson NN --out DIR makes them")
    return prepare_batch(lesson or there["lesson"], out, given=given or Path(there["rubric"]), resume=True,
                         recheck=recheck)  # fmt: skip


def take_in(batch: Batch, file: Path, *, overwrite: bool = False) -> int:
    """Take in the marks of a CSV; return how many are new or changed."""
    marked = rubric.load(batch.rubric)
    shown = marks.over(results(batch.out), marks.load(batch.out))
    return marks.give(batch.out, marks.read(file, marked, shown), overwrite=overwrite)


def orphans(out: Path, shown: list[Result]) -> list[str]:
    """Return the marks given by hand for students or items that are no more."""
    there = {(r["student"], name) for r in shown for name, _ in marks.items_of(r)}
    given = [(student, name) for student, items in marks.load(out).items() for name in items]
    return [f"{student}, {name}" for student, name in given if (student, name) not in there]


def recheck(batch: Batch) -> list[Result]:
    """Judge all results of the folder again; return them."""
    marked = rubric.load(batch.rubric)
    for result in results(batch.out):
        result["exercises"] = judged(batch, marked, result)
        if not waiting([result]):
            result["key"] = batch.key_of(result["receipt"])
        write_whole(batch.out / FOLDER / f"{result['student']}.json", json.dumps(result, indent=1))
    write_whole(batch.out / MADE, json.dumps(batch.made, indent=1))
    return results(batch.out)


def judged(batch: Batch, marked: rubric.Rubric, result: Result) -> list[dict[str, Any]]:
    """Return a result's exercises by the rubric as it is now."""
    if result.get("unreadable") or result.get("trouble"):
        points = 0.0 if result.get("unreadable") else None
        return judge.unjudged(marked, result["exercises"][0]["items"][0]["found"], points)
    try:
        held = kept.read(batch.out / "objects" / f"{result['student']}.json.gz")
    except ClusterError:
        held = kept.Kept([])
    return judge.recheck(held, result["namespace"], marked, result)


def waiting(of: Iterable[Result]) -> list[str]:
    """Return the items that only another run can tell."""
    return sorted({name for r in of for name, item in marks.items_of(r) if item["found"] == judge.RERUN})


def write(batch: Batch, of: list[Result]) -> list[Result]:
    """Put the marks given by hand over the results, write all files and pages, and return what they show."""
    marked, reference = rubric.load(batch.rubric), notebook.read(batch.reference)
    shown = marks.over(of, marks.load(batch.out))
    alike = similar.pairs(shown, cells.work(reference, reference))
    files.write(batch.out, marked, shown, alike)
    pages.write(batch.out, marked, shown, alike)
    return shown
