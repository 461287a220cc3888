"""What grading costs beyond the hand-ins' own time: beside nbgrader's autograde, one at once and two, and memory."""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import nbformat
import nbgrader as nbgrader_package

from labkit import kernel
from tests.bench.processes import descendants, pss_bytes
from tests.e2e import handed

COUNT, LOOK_SECONDS = 10, 0.5
BIN = Path(nbgrader_package.__file__).parents[4] / "bin"
MIB = 1 << 20


def own_seconds(executed: Path) -> float:
    """The time that the cells of an executed notebook took."""
    cells = nbformat.read(executed, as_version=4).cells
    return sum((cell.metadata.get("papermill") or {}).get("duration") or 0.0 for cell in cells)


def labkit(place: Path, out: str, jobs: int) -> tuple[float, float, float]:
    """Grade all; return the seconds by the clock, those of the cells, and the most memory in MiB at a time."""
    peak, ended = [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            peak[0] = max(peak[0], pss_bytes(descendants(marker=f"{place}/tmp")) / MIB)

    looker = threading.Thread(target=look)
    looker.start()
    begun = time.perf_counter()
    handed.grade(place / "in", place / out, "03", "--jobs", str(jobs), TMPDIR=f"{place}/tmp")
    took = time.perf_counter() - begun
    ended.set()
    looker.join()
    return took, sum(map(own_seconds, (place / out / "executed").iterdir())), peak[0]


def autograde(place: Path) -> float:
    """Have nbgrader autograde the same hand-ins; return the seconds."""
    course = place / "course"
    for folder in ("source/trivial", *(f"submitted/s{number}/trivial" for number in range(COUNT))):
        (course / folder).mkdir(parents=True)
        nbformat.write(trivial(), course / folder / "trivial.ipynb")
    with kernel.prepared() as environment:
        environment["PATH"] = f"{BIN}:{environment['PATH']}"
        for command in ("generate_assignment", "autograde"):
            begun = time.perf_counter()
            run = [sys.executable, "-m", "nbgrader", command, "trivial"]
            subprocess.run(run, cwd=course, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun


def trivial() -> nbformat.NotebookNode:
    """A notebook of one cell that a grader marks, and that asks nothing of a cluster."""
    cell = nbformat.v4.new_code_cell("1")
    cell.metadata["nbgrader"] = {"grade": True, "grade_id": "one", "locked": True, "points": 1, "schema_version": 3,
                                 "solution": False, "task": False}  # fmt: skip
    return nbformat.v4.new_notebook(cells=[cell])


def measure() -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as name:
        place = Path(name)
        (place / "tmp").mkdir()
        for number in range(COUNT):
            handed.write(place / "in", f"s{number}", trivial())
        theirs = autograde(place)
        one, own, memory = labkit(place, "one", 1)
        two, _, both = labkit(place, "two", 2)
        seconds = median(handed.result(place / "one", f"s{number}")["seconds"] for number in range(COUNT))
    return [
        (f"grading a trivial hand-in beyond its cells' time (of {COUNT})", f"{(one - own) / COUNT:.1f} s, "
         f"its worker {seconds:.1f} s"),
        (f"nbgrader autograde of the same {COUNT}, each, without a cluster", f"{theirs / COUNT:.1f} s"),
        (f"grading {COUNT} hand-ins, 2 at once against 1",
         f"{two:.0f} s against {one:.0f} s, {60 * COUNT / two:.0f} a minute"),
        ("memory while grading (PSS), 1 at once and 2", f"{memory:.0f} MiB, {both:.0f} MiB"),
    ]  # fmt: skip
