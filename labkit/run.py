"""Run notebooks on a cluster with papermill: one process a run, time limits always, a page with the results.

Order: read what every notebook declares → fit the parameters (unknown or wrongly typed ones are refused before
anything starts) → find the cluster → one worker process after another (labkit.run_one) → results.json and index.html.

A failed notebook does not stop the others. Ctrl-C ends the one that runs, after its cleanup cells, and skips the rest.

Left out: several clusters in one call, runs side by side.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labkit import cluster as clusters
from labkit import kernel, notebook
from labkit.errors import LabError

CELL_SECONDS, RUN_SECONDS = 120.0, 1800.0
GRACE_SECONDS = 150.0  # for a worker to clean up after its time is over, before it is killed


@dataclass(frozen=True)
class Job:
    """One notebook to run: with which parameters, where to, within which limits."""

    notebook: str
    parameters: dict[str, Any]
    out: str
    cell_seconds: float = CELL_SECONDS
    run_seconds: float = RUN_SECONDS
    keep: bool = False

    @property
    def name(self) -> str:
        """The notebook's name without its folder and suffix."""
        return Path(self.notebook).stem


@dataclass(frozen=True)
class Result:
    """How a run ended: `failure` is empty when every cell ended well; seconds of wall-clock time."""

    name: str
    failure: str
    seconds: float
    cells: int
    cell: int = -1

    @property
    def passed(self) -> bool:
        """Tell whether every cell ended well."""
        return not self.failure


Progress = Callable[[Job, int, int], None]  # called with the job, the cell begun and how many there are


def plan(paths: Iterable[Path], *, cluster: str, parameters: dict[str, Any], out: Path, cell_seconds: float,
         run_seconds: float, keep: bool) -> list[Job]:  # fmt: skip
    """Make a job of each notebook; raises ParameterError, LabError before anything has started."""
    jobs = []
    cluster = clusters.from_anywhere(cluster)
    for path in notebook.find(paths):
        declared = notebook.parameters(notebook.read(path))
        is_other = "cluster" in declared and declared["cluster"].default != cluster
        given = {**parameters, **({"cluster": cluster} if is_other else {})}
        fitted = notebook.fit(given, declared, path.name)
        jobs.append(
            Job(str(path.absolute()), fitted, str((out / path.name).absolute()), cell_seconds, run_seconds, keep)
        )
    return jobs


def run(paths: Iterable[Path], *, cluster: str = clusters.DEFAULT, parameters: dict[str, Any] | None = None,
        out: Path = Path("out"), cell_seconds: float = CELL_SECONDS, run_seconds: float = RUN_SECONDS,
        keep: bool = False, progress: Progress = lambda job, cell, of: None) -> list[Result]:  # fmt: skip
    """Run the notebooks, leave them, their HTML, results.json and index.html in `out`, and return how they ended."""
    from labkit.report import write_index

    jobs = plan(paths, cluster=cluster, parameters=parameters or {}, out=out, cell_seconds=cell_seconds,
                run_seconds=run_seconds, keep=keep)  # fmt: skip
    clusters.connect(cluster)  # starts it now, not inside the first notebook's time
    make_folder(out)
    results: list[Result] = []
    with kernel.prepared() as environment:
        for job in jobs:
            result = run_job(job, environment, progress)
            results.append(result)
            if result.failure.startswith("interrupted"):
                break
    (out / "results.json").write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")
    write_index(out, results, cluster)
    return results


def run_job(job: Job, environment: dict[str, str], progress: Progress) -> Result:
    """Run one notebook in a process of its own, in the notebook's folder as JupyterLab does."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="labkit-run-") as folder:
        order = Path(folder) / "job.json"
        order.write_text(json.dumps(asdict(job)))
        errors = Path(folder) / "errors.txt"
        with errors.open("w") as sink:
            worker = subprocess.Popen(
                [sys.executable, "-m", "labkit.run_one", str(order)],
                cwd=Path(job.notebook).parent,
                env={"LABKIT_WORK": str(Path(job.out).parent), **environment},
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                start_new_session=True,
            )
            last = _follow(worker, job, progress)
        seconds = round(time.monotonic() - begun, 1)
        if "failure" not in last:
            last = {**last, "failure": _death(worker.returncode, errors.read_text())}
    return Result(job.name, last["failure"], seconds, last.get("of", 0), last.get("cell", -1))


def make_folder(out: Path) -> None:
    """Make the folder for the results; raises LabError when it cannot be written to."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise LabError(
            f"cannot write to {out}", value=error.strerror, next_step="name another folder: labkit run --out DIR"
        ) from None


def _follow(worker: subprocess.Popen[str], job: Job, progress: Progress) -> dict[str, Any]:
    """Read the worker's lines until it ends; stop it when its time is over or at Ctrl-C. Return what it said last."""
    facts: dict[str, Any] = {}
    alarm = _Alarm(worker, job.run_seconds + GRACE_SECONDS)
    try:
        with alarm:
            for line in worker.stdout or ():
                facts.update(_read(line))
                if "failure" not in facts and "cell" in facts:
                    progress(job, facts["cell"], facts["of"])
            worker.wait()
    except KeyboardInterrupt:
        facts["failure"] = "interrupted"
        worker.send_signal(signal.SIGINT)
        _wait_or_kill(worker, GRACE_SECONDS)
    finally:
        _kill_group(worker)  # a kernel ends by itself, a second after its parent
    return facts


class _Alarm:
    """Kills a worker that does not end by itself: the last resort behind the worker's own limits."""

    def __init__(self, worker: subprocess.Popen[str], seconds: float) -> None:
        import threading

        self._timer = threading.Timer(seconds, _kill_group, [worker])

    def __enter__(self) -> None:
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _wait_or_kill(worker: subprocess.Popen[str], seconds: float) -> None:
    try:
        worker.wait(seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        _kill_group(worker)
        worker.wait()


def _kill_group(worker: subprocess.Popen[str]) -> None:
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _read(line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError:
        return {}  # a library's own word on standard output


def _death(code: int | None, errors: str) -> str:
    last = (errors.strip().splitlines() or ["no message"])[-1]
    return f"the run's process ended with {code}: {last}"
