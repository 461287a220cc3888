"""One run as the parent sees it: a process of its own, watched through its lines until it ends, killed at the last.

The worker (labkit.run_one) keeps the limits of cell and run itself and cleans up; this end only waits, passes on how
far it is, and makes sure that nothing of it stays: the process group is killed at the end, whatever it was.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CELL_SECONDS, RUN_SECONDS = 120.0, 1800.0
GRACE_SECONDS = 150.0  # for a worker to clean up after its time is over, before it is killed
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Job:
    """One notebook to run on one cluster: with which parameters, where to, within which limits.

    cluster  the cluster as the user named it
    go_on    a cell that fails stops nothing
    alone    what nothing else may run on meanwhile: "cluster", "machine", or "" when others may
    fingerprint  of the notebook, its parameters and the kit
    """

    notebook: str
    parameters: dict[str, Any]
    out: str
    cell_seconds: float = CELL_SECONDS
    run_seconds: float = RUN_SECONDS
    keep: bool = False
    go_on: bool = False
    cluster: str = ""
    alone: str = ""
    fingerprint: str = ""

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
    cluster: str = ""
    fingerprint: str = ""  # the job's

    @property
    def passed(self) -> bool:
        """Tell whether every cell ended well."""
        return not self.failure

    @property
    def interrupted(self) -> bool:
        """Tell whether Ctrl-C ended it."""
        return self.failure.startswith(INTERRUPTED)


Progress = Callable[[Job, int, int], None]  # called with the job, the cell begun and how many there are


@dataclass
class Worker:
    """The process of one job; `interrupt` may be called from another thread than `run`."""

    job: Job
    environment: dict[str, str]
    process: "subprocess.Popen[str] | None" = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, progress: Progress) -> Result:
        """Run the notebook in its own folder, as JupyterLab does, and tell how it ended."""
        begun, job = time.monotonic(), self.job
        last: dict[str, Any] = {"failure": INTERRUPTED}
        if not self.stopped.is_set():
            with tempfile.TemporaryDirectory(prefix="labkit-run-") as folder:
                order, errors = Path(folder) / "job.json", Path(folder) / "errors.txt"
                order.write_text(json.dumps(asdict(job)))
                with errors.open("w") as sink:
                    process = self._start(order, sink)
                    last = self._follow(process, progress)
                if "failure" not in last:
                    dead = _death(process.returncode, errors.read_text())
                    last["failure"] = INTERRUPTED if self.stopped.is_set() else dead
        seconds = round(time.monotonic() - begun, 1)
        return Result(job.name, last["failure"], seconds, last.get("of", 0), last.get("cell", -1), job.cluster,
                      job.fingerprint)  # fmt: skip

    def interrupt(self) -> None:
        """Let the cell that runs be the last but for the cleanup cells; a second call kills."""
        if self.process is not None and self.stopped.is_set():
            _kill_group(self.process)
        elif self.process is not None:
            self.process.send_signal(signal.SIGINT)  # to the worker alone: it interrupts its kernel itself
        self.stopped.set()

    def _start(self, order: Path, errors: Any) -> "subprocess.Popen[str]":
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labkit.run_one", str(order)],
            cwd=Path(self.job.notebook).parent,
            env={"LABKIT_WORK": str(Path(self.job.out).parent), **self.environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is the parent's: it tells the worker
        )
        return self.process

    def _follow(self, process: "subprocess.Popen[str]", progress: Progress) -> dict[str, Any]:
        """Read the worker's lines until it ends; return what it said last."""
        facts: dict[str, Any] = {}
        last_resort = threading.Timer(self.job.run_seconds + GRACE_SECONDS, _kill_group, [process])
        last_resort.daemon = True
        last_resort.start()
        try:
            for line in process.stdout or ():
                facts.update(_read(line))
                if "failure" not in facts and "cell" in facts:
                    progress(self.job, facts["cell"], facts["of"])
            process.wait()
        finally:
            last_resort.cancel()
            _kill_group(process)  # a kernel ends by itself, a second after its parent
        return facts


def _kill_group(process: "subprocess.Popen[str]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
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
