"""Run one notebook in this process: the worker of labkit.run, which starts one for each run.

    python -m labkit.run_one JOB.json

Papermill's engine executes the cells; this one differs in three ways. A cell tagged `raises-exception` may fail. Every
cell has a time limit, and the run has one. After a failed cell, or Ctrl-C, the cells tagged `cleanup` run too, unless
`keep`; with `go_on`, as for marking, a failed cell stops nothing. Writes the executed notebook as it goes, its HTML,
and one JSON line on standard output for every cell begun and one, the last, with the outcome.

Upstream: papermill/engines.py, papermill/clientwrap.py
"""

import json
import math
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from labkit.notebook import tags

CLEANUP_SECONDS = 120
INTERRUPT_SECONDS = 10
INTERRUPTED = 130
CUT = "\n… cut here: a cell may show {} KiB\n"
FINAL = ("the run's time is over", "the kernel died", "interrupted")  # no later cell can run


class LessonClient(PapermillNotebookClient):
    """Executes the cells of a lesson; `failure` says afterwards why it stopped, "" when it did not."""

    def __init__(self, nb_man: Any, *, run_seconds: float, keep: bool, go_on: bool = False, output_bytes: int = 0,
                 **kw: Any) -> None:  # fmt: skip
        self.cell_seconds = kw.pop("timeout")
        super().__init__(nb_man, timeout=math.ceil(self.cell_seconds), interrupt_on_timeout=False, **kw)
        self.deadline, self.keep, self.go_on = time.monotonic() + run_seconds, keep, go_on
        self.failure, self.failed_cell = "", -1
        self.output_bytes, self.shown = output_bytes, Counter[int]()

    def papermill_execute_cells(self) -> None:
        """Execute in order; on failure go on with the cleanup cells alone."""
        total = len(self.nb.cells)
        for index, cell in enumerate(self.nb.cells):
            report(cell=index, of=total)
            why = self._run(cell, index)
            if why and not self.failure:
                self.failure, self.failed_cell = why, index
            if why and (not self.go_on or why in FINAL):
                break
        if self.failure and not self.keep:
            self._clean_up(self.failed_cell + 1)

    def output(self, outs: Any, msg: dict[str, Any], display_id: Any, cell_index: int) -> Any:
        """Store an output; what goes beyond the cell's limit, if there is one, is cut and said."""
        size, before = len(json.dumps(msg["content"], default=str)), self.shown[cell_index]
        self.shown[cell_index] += size
        if not self.output_bytes or self.shown[cell_index] <= self.output_bytes:
            return super().output(outs, msg, display_id, cell_index)
        if before <= self.output_bytes:
            text = str(msg["content"].get("text", ""))[: self.output_bytes - before]
            outs.append(new_output("stream", name="stdout", text=text + CUT.format(self.output_bytes >> 10)))
        return None

    def _run(self, cell: Any, index: int) -> str:
        """Execute one cell; return why it failed, "" when it did not."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            return "the run's time is over"
        self.timeout = math.ceil(min(self.cell_seconds, left))
        try:
            self.nb_man.cell_start(cell, index)
            self.execute_cell(cell, index)
        except CellExecutionError as error:
            self.nb_man.cell_exception(cell, cell_index=index, exception=error)
            return f"{error.ename}: {_first_line(error.evalue)}"
        except CellTimeoutError:
            self._interrupt()
            whole_run = self.timeout < self.cell_seconds
            return "the run's time is over" if whole_run else f"no end after {self.timeout} s"
        except DeadKernelError:
            return "the kernel died"
        except KeyboardInterrupt:
            self._interrupt()
            return "interrupted"
        finally:
            self.nb_man.cell_complete(cell, cell_index=index)
        return ""

    def _interrupt(self) -> None:
        """Interrupt the cell and wait until the kernel has: it drops what is asked of it while it fails."""
        run_sync(self.km.interrupt_kernel)()
        try:
            run_sync(self.kc.wait_for_ready)(timeout=INTERRUPT_SECONDS)
        except RuntimeError:
            self.log.warning("the cell does not react to an interrupt")

    def _clean_up(self, start: int) -> None:
        self.deadline = time.monotonic() + CLEANUP_SECONDS
        for index, cell in enumerate(self.nb.cells):
            if index >= start and "cleanup" in tags(cell):
                report(cleanup=index)
                if why := self._run(cell, index):
                    self.failure += f"; cleanup failed too: {why}"
                    return


class LessonEngine(NBClientEngine):
    """Papermill's engine with LessonClient as its client; keeps the outcome on the notebook's manager."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, start_timeout: int = 60, **kw: Any) -> Any:
        """Run all cells with the limits of the job."""
        options = {name: kw[name] for name in ("timeout", "run_seconds", "keep", "go_on", "output_bytes")}
        client = LessonClient(nb_man, kernel_name=kernel_name, startup_timeout=start_timeout, **options)
        try:
            client.execute()
        finally:
            kw["outcome"].update(failure=client.failure, cell=client.failed_cell)
        return nb_man.nb


def execute(job: dict[str, Any]) -> dict[str, Any]:
    """Run the notebook of a job; return failure ("" when all went well), cell and seconds."""
    papermill_engines.register("labkit", LessonEngine)
    notebook = load_notebook_node(job["notebook"])
    if job["parameters"]:
        notebook = parameterize_notebook(notebook, job["parameters"], kernel_name="python3", language="python")
    notebook.metadata.papermill = {"parameters": job["parameters"], "input_path": job["notebook"]}
    outcome: dict[str, Any] = {"failure": "", "cell": -1}
    begun = time.monotonic()
    try:
        notebook = papermill_engines.execute_notebook_with_engine(
            "labkit", notebook, kernel_name="python3", output_path=job["out"], progress_bar=False,
            timeout=job["cell_seconds"], run_seconds=job["run_seconds"], keep=job["keep"],
            go_on=job.get("go_on", False), output_bytes=job.get("output_bytes", 0), outcome=outcome,
        )  # fmt: skip
    except KeyboardInterrupt:
        outcome["failure"] = outcome["failure"] or "interrupted"
    except Exception as error:  # a kernel that does not start, a full disk: said in the report, not swallowed
        outcome["failure"] = outcome["failure"] or f"{type(error).__name__}: {_first_line(error)}"
    nbformat.write(notebook, job["out"])
    return outcome | {"seconds": round(time.monotonic() - begun, 2)}


def to_html(notebook: Path) -> Path:
    """Write a notebook as one HTML file that needs no network; return its path."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", embed_images=True)
    html, _ = exporter.from_filename(str(notebook))
    page = notebook.with_suffix(".html")
    page.write_text(html)
    return page


def report(**facts: Any) -> None:
    """Tell the parent process."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]


def main(argv: list[str] | None = None) -> int:
    """Run a job; return 0 when every cell ended well, 1 when one failed, 130 when interrupted."""
    job = json.loads(Path((argv or sys.argv[1:])[0]).read_text())
    outcome = execute(job)
    if not job.get("go_on"):
        to_html(Path(job["out"]))
    report(**outcome)
    return 0 if not outcome["failure"] else INTERRUPTED if outcome["failure"].startswith("interrupted") else 1


if __name__ == "__main__":
    sys.exit(main())
