"""Run notebooks on clusters with papermill: one process a run, time limits always, a matrix of the results.

Order: read what every notebook declares → fit the parameters (unknown or wrongly typed ones are refused before
anything starts) → find the clusters → one worker process a run (labkit.worker), `parallel` of them at once →
results.json after every run, results.csv and index.html at the end.

A failed notebook does not stop the others, nor does a cluster that does not answer. Ctrl-C ends what runs, after its
cleanup cells, and skips the rest; `again` then goes on with what has not passed yet. A notebook with a cell tagged
`cluster-wide` has its cluster to itself while it runs; one with a cell tagged `measures` the whole machine.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from labkit import __version__, kernel, notebook, results
from labkit import cluster as clusters
from labkit.errors import LabError, ParameterError
from labkit.worker import CELL_SECONDS, RUN_SECONDS, Job, Progress, Result, Worker

SECRET = re.compile(r"(?i)password|passwd|secret|token|credential")


def silent(job: Job, cell: int, of: int) -> None:
    """Show nothing of the progress."""


def plan(paths: Iterable[Path], *, where: Mapping[str, str], parameters: dict[str, Any], out: Path,
         cell_seconds: float = CELL_SECONDS, run_seconds: float = RUN_SECONDS,
         keep: bool = False) -> list[Job]:  # fmt: skip
    """Make a job of each notebook on each cluster; raises ParameterError, LabError before anything has started.

    where  the clusters' names as the user gave them, and what a notebook's parameter `cluster` must be for each
    """
    _refuse_secrets(parameters)
    found = [(path, notebook.read(path)) for path in notebook.find(paths)]
    _refuse_twins([path.name for path, _ in found], "two notebooks")
    folders = {name: out / _plain(name) if len(where) > 1 else out for name in where}
    _refuse_twins([str(folder) for folder in folders.values() if folder != out], "two clusters")
    jobs = []
    for name, address in where.items():
        for path, nb in found:
            fitted = _fitted(nb, path, clusters.from_anywhere(address), parameters)
            job = Job(str(path.absolute()), fitted, str((folders[name] / path.name).absolute()), cell_seconds,
                      run_seconds, keep, cluster=name, alone=_alone(nb))  # fmt: skip
            jobs.append(replace(job, fingerprint=fingerprint(path.read_bytes(), fitted)))
    return jobs


def run(jobs: Sequence[Job], *, where: Mapping[str, str], out: Path, again: bool = False, parallel: int = 1,
        start: bool = False, progress: Progress = silent,
        done: Callable[[Result], None] = lambda result: None) -> list[Result]:  # fmt: skip
    """Run what was planned and return how it ended, in the order of the plan.

    Leaves the executed notebooks, their HTML, results.json, results.csv and index.html in `out`. With `again`, what has
    passed there before, and has not changed since, is not run again.
    """
    from labkit.report import write_index

    facts, absent = find_clusters(where, start)
    if len(absent) == len(where):
        raise next(iter(absent.values()))
    for folder in dict.fromkeys([out, *(Path(job.out).parent for job in jobs)]):
        make_folder(folder)
    report = results.Report(jobs, facts, results.passed_before(out, jobs) if again else [])
    for job in jobs:
        if job.cluster in absent:
            report.add(Result(job.name, str(absent[job.cluster].what), 0.0, 0, cluster=job.cluster))
            done(report.results[-1])
    with (
        kernel.prepared() as environment,
        # closed at once when this is interrupted, so that what runs is told
        closing(run_all(report.missing(), environment, parallel=parallel, progress=progress)) as ended,
    ):
        for result in ended:
            report.add(result)
            results.write_json(out, report)
            done(result)
    results.write_csv(out, report)
    results.write_json(out, report)
    write_index(out, report)
    return report.in_order()


def run_all(jobs: Sequence[Job], environment: dict[str, str], *, parallel: int = 1,
            progress: Progress = silent) -> Generator[Result, None, None]:  # fmt: skip
    """Run the jobs, `parallel` at once, and yield how each ended; after Ctrl-C those that ran, and no more."""
    waiting, running = list(jobs), dict[Future[Result], Worker]()
    with ThreadPoolExecutor(parallel) as pool:
        try:
            while waiting or running:
                while len(running) < parallel and (job := next_job(waiting, [w.job for w in running.values()])):
                    waiting.remove(job)
                    worker = Worker(job, environment)
                    running[pool.submit(worker.run, progress)] = worker
                try:
                    ended, _ = wait(running, return_when=FIRST_COMPLETED)
                except KeyboardInterrupt:
                    waiting.clear()
                    _interrupt(running.values())
                    continue
                for future in ended:
                    del running[future]
                    yield future.result()
        finally:
            _interrupt(running.values())  # left early: the pool waits until they have cleaned up


def next_job(waiting: Sequence[Job], running: Collection[Job]) -> Job | None:
    """Return the first job that may start beside those that run; None when all must wait."""
    return next((job for job in waiting if not any(_disturb(job, other) for other in running)), None)


def _disturb(job: Job, other: Job) -> bool:
    if "machine" in (job.alone, other.alone):
        return True
    return job.cluster == other.cluster and bool(job.alone or other.alone)


def find_clusters(where: Mapping[str, str],
                  start: bool = False) -> tuple[dict[str, dict[str, Any]], dict[str, LabError]]:  # fmt: skip
    """Ask each cluster for its facts; return those, and why some are absent."""
    facts, absent = dict[str, dict[str, Any]](), dict[str, LabError]()
    for name, address in where.items():
        try:
            facts[name] = results.cluster_facts(clusters.connect(address, start=start), address)
        except LabError as error:
            absent[name] = error
    return facts, absent


def fingerprint(content: bytes, parameters: dict[str, Any]) -> str:
    """Tell one run's making from another's: the notebook, its parameters, the kit."""
    return hashlib.sha256(content + repr((sorted(parameters.items()), __version__)).encode()).hexdigest()[:16]


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


def _fitted(nb: Any, path: Path, cluster: str, parameters: dict[str, Any]) -> dict[str, Any]:
    declared = notebook.parameters(nb)
    is_other = "cluster" in declared and declared["cluster"].default != cluster
    return notebook.fit({**parameters, **({"cluster": cluster} if is_other else {})}, declared, path.name)


def _alone(nb: Any) -> str:
    if notebook.tagged(nb, "measures"):
        return "machine"
    return "cluster" if notebook.tagged(nb, "cluster-wide") else ""


def _refuse_secrets(parameters: Iterable[str]) -> None:
    if named := sorted(filter(SECRET.search, parameters)):
        raise ParameterError(
            f"{', '.join(named)} looks like a secret, and parameters are stored in the executed notebook",
            next_step="give it in the environment, and read it there: os.environ",
        )


def _refuse_twins(names: list[str], what: str) -> None:
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise LabError(f"{what} would leave their results in one place", value=", ".join(twins))


def _plain(cluster: str) -> str:
    """Return a cluster's name as the name of a folder."""
    return re.sub(r"[^\w.-]+", "_", cluster).strip("._") or "cluster"


def _interrupt(workers: Iterable[Worker]) -> None:
    for worker in workers:
        worker.interrupt()
