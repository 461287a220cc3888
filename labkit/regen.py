"""Run the reference notebooks again and rewrite their stored outputs, so that two runs leave no difference.

The parameters stay as the notebook declares them, so the caller sees to it that the default cluster is a new one.
A notebook with a failing cell is left as it was.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import nbformat

from labkit import kernel, normalise, notebook
from labkit.errors import LabError
from labkit.run import CELL_SECONDS, RUN_SECONDS, Job, Progress, run_job


def regen(paths: Iterable[Path], *, progress: Progress = lambda job, cell, of: None) -> dict[Path, bool]:
    """Return which notebooks changed; raises LabError at the first that fails."""
    changed = {}
    with kernel.prepared() as environment, tempfile.TemporaryDirectory(prefix="labkit-regen-") as folder:
        for path in notebook.find(paths):
            out = Path(folder) / path.name
            job = Job(str(path.absolute()), {}, str(out), CELL_SECONDS, RUN_SECONDS)
            result = run_job(job, environment, progress)
            if not result.passed:
                raise LabError(
                    f"{path} failed, its stored outputs are left as they were",
                    value=f"cell {result.cell}: {result.failure}",
                    next_step=f"labkit run {path} --own-cluster --keep shows it",
                )
            changed[path] = store(path, out)
    return changed


def store(path: Path, executed: Path) -> bool:
    """Write the normalised notebook over the stored one when they differ; tell whether they did."""
    text = nbformat.writes(normalise.notebook(notebook.read(executed))) + "\n"
    if path.read_text() == text:
        return False
    path.write_text(text)
    return True
