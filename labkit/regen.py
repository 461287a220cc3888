"""Run the reference notebooks again and rewrite their stored outputs, so that two runs leave no difference.

An output in which nothing changed but what was measured stays as it was, and so does a picture in which nothing but
figures changed: names that clusters make up differ in length.
The parameters stay as the notebook declares them, so the caller sees to it that the default cluster is a new one.
A notebook with a failing cell is left as it was.
"""

import copy
import re
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import nbformat

from labkit import kernel, normalise, notebook
from labkit.errors import LabError
from labkit.run import run_all, silent
from labkit.worker import Job, Progress, Result

SVG = "image/svg+xml"


def regen(paths: Iterable[Path], *, progress: Progress = silent) -> dict[Path, bool]:
    """Return which notebooks changed; raises LabError at the first that fails."""
    changed = {}
    with kernel.prepared() as environment, tempfile.TemporaryDirectory(prefix="labkit-regen-") as folder:
        found = notebook.find(paths)
        jobs = [Job(str(path.absolute()), {}, str(Path(folder) / path.name)) for path in found]
        with closing(run_all(jobs, environment, progress=progress)) as ended:
            for path, job, result in zip(found, jobs, ended, strict=False):  # fewer have ended after Ctrl-C
                changed[path] = _store_passed(path, Path(job.out), result)
    return changed


def _store_passed(path: Path, executed: Path, result: Result) -> bool:
    if result.passed:
        return store(path, executed)
    raise LabError(
        f"{path} failed, its stored outputs are left as they were",
        value=f"cell {result.cell}: {result.failure}",
        next_step=f"labkit run {path} --own-cluster --keep shows it",
    )


def store(path: Path, executed: Path) -> bool:
    """Write the normalised notebook over the stored one when they differ; tell whether they did."""
    stored, new = (normalise.notebook(notebook.read(each), measured=False) for each in (path, executed))
    keep_alike(stored, new)
    text = nbformat.writes(new) + "\n"
    if path.read_text() == text:
        return False
    path.write_text(text)
    return True


def keep_alike(stored: Any, new: Any) -> None:
    """Put what a stored output says in the place of a new one's that nbval would take for it."""
    for old_cell, cell in zip(stored.cells, new.cells, strict=False):
        for old, output in zip(old_cell.get("outputs", []), cell.get("outputs", []), strict=False):
            if _without_figures(old) == _without_figures(output):
                output.update({key: old[key] for key in ("text", "data", "evalue", "traceback") if key in old})


def _without_figures(output: Any) -> Any:
    said = normalise.output(copy.deepcopy(output))
    if SVG in said.get("data", {}):
        said.data[SVG] = re.sub(r"[\d.]+", "", said.data[SVG])
    return said
