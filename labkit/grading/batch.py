"""A batch: every hand-in in a process of its own, several at once; a result each, kept by what it was made of.

A result's key is a hash of the hand-in, the rubric and the kit. With `resume`, a hand-in that has a result of the same
key is left alone. Without it, a folder that holds results is refused: marks are never overwritten in silence.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit import __version__, notebook, release, rubric
from labkit.errors import LabError
from labkit.grading import handins
from labkit.grading.handins import HandIn
from labkit.grading.worker import write_whole

LIMITS: dict[str, Any] = {
    "seconds": 600.0, "cell_seconds": 120.0, "memory": 3 << 30, "processes": 256, "files": 1024,
    "disk": 256 << 20, "file": 64 << 20,
}  # fmt: skip
SECOND = re.compile(r"""\.make_namespace\(["']([a-z0-9-]+)["']\)""")
LAST_SECONDS = 300.0  # beyond a hand-in's own limit: for its cluster and its judge
FOLDER = "results"


@dataclass(frozen=True)
class Batch:
    """What is graded against what, and where the results go."""

    lesson: str
    out: Path
    rubric: Path
    reference: Path
    limits: dict[str, Any] = field(default_factory=lambda: LIMITS)
    nodes: int = 2

    @property
    def namespace(self) -> str:
        """Where every hand-in works, on a cluster of its own."""
        return f"lab-{self.lesson}"

    def key(self, hand_in: HandIn) -> str:
        """Tell one result's making from another's."""
        parts = (hand_in.digest.encode(), self.rubric.read_bytes(), self.reference.read_bytes(), __version__.encode())
        return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def prepare(lesson: str, out: Path, *, given: Path | None = None, resume: bool = False, **options: Any) -> Batch:
    """Check all that can be wrong before anything runs; raises LabError."""
    file = given or rubric.find(lesson)
    if not file.is_file():
        raise LabError("no such rubric", value=str(file))
    if rubric.load(file).lesson != lesson:
        raise LabError(f"{file} is a rubric of another lesson", value=rubric.load(file).lesson, expected=lesson)
    (reference,) = notebook.find([Path(lesson)])[:1]
    try:
        (out / FOLDER).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise LabError(f"cannot write to {out}", value=error.strerror, next_step="--out DIR names another") from None
    if not resume and any((out / FOLDER).glob("*.json")):
        raise LabError(
            f"{out} holds results", next_step="--resume grades what is missing or has changed; --out DIR starts anew"
        )
    return Batch(lesson, out, file, reference, **options)


def grade(batch: Batch, found: list[HandIn], *, jobs: int = 1,
          done: Callable[[dict[str, Any], int, int], None] = lambda *_: None) -> list[dict[str, Any]]:  # fmt: skip
    """Grade what has no result of its key yet; return all results, by student."""
    before = {r["student"]: r for r in results(batch.out)}
    waiting = [h for h in found if before.get(h.student, {}).get("key") != batch.key(h)]
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, batch, hand_in) for hand_in in waiting]
        try:
            for count, future in enumerate(as_completed(futures), 1):
                done(future.result(), count, len(waiting))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    students = {h.student for h in found}
    return [r for r in results(batch.out) if r["student"] in students]


def results(out: Path) -> list[dict[str, Any]]:
    """Return the results of a folder, by student."""
    return [json.loads(path.read_text()) for path in sorted((out / FOLDER).glob("*.json"))]


def one(batch: Batch, hand_in: HandIn) -> dict[str, Any]:
    """Grade one hand-in; what is no notebook earns nothing, with the reason, and costs no time."""
    reference = notebook.read(batch.reference)
    facts: dict[str, Any] = {
        "student": hand_in.student,
        "lesson": batch.lesson,
        "key": batch.key(hand_in),
        "receipt": hand_in.digest,
        "flags": [*hand_in.flags],
    }
    place = batch.out / FOLDER / f"{hand_in.student}.json"
    try:
        nb, flags = handins.parse(hand_in, reference)
    except LabError as error:
        result = {**facts, "unreadable": str(error), "exercises": nothing(rubric.load(batch.rubric)), "trouble": "",
                  "seconds": 0.0}  # fmt: skip
        write_whole(place, json.dumps(result, indent=1))
        return result
    facts["flags"] += flags
    run_worker(order(batch, hand_in, nb, facts, place), batch.limits["seconds"] + LAST_SECONDS, place, facts)
    return dict(json.loads(place.read_text()))


def run_worker(order: dict[str, Any], seconds: float, place: Path, facts: dict[str, Any]) -> None:
    """Start the worker and see that a result is there at the end."""
    with tempfile.TemporaryDirectory(prefix="lk-order-") as folder:
        file = Path(folder) / "order.json"
        file.write_text(json.dumps(order))
        command = [sys.executable, "-m", "labkit.grading.worker", str(file)]
        place.unlink(missing_ok=True)
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=seconds, start_new_session=True)
            said = (run.stderr.strip().splitlines() or [f"it ended with {run.returncode}"])[-1]
        except subprocess.TimeoutExpired:
            said = f"no end after {seconds:.0f} s"
    if not place.exists():
        lost = {**facts, "trouble": f"the grader's own process failed: {said}", "exercises": [], "seconds": 0.0}
        write_whole(place, json.dumps(lost, indent=1))


def order(batch: Batch, hand_in: HandIn, nb: Any, facts: dict[str, Any], place: Path) -> dict[str, Any]:
    """Say what a worker is to do, all of it, in plain data."""
    declared = notebook.parameters(notebook.read(batch.reference))
    name = f"notebooks/{batch.reference.name}"
    return {
        "facts": facts,
        "result": str(place.absolute()),
        "kept": str((batch.out / "kept" / hand_in.student).absolute()),
        "executed": str((batch.out / "executed" / f"{hand_in.student}.ipynb").absolute()),
        "namespace": batch.namespace,
        "others": [f"{batch.namespace}-{each}" for each in second_namespaces(batch.reference)],
        "rubric": str(batch.rubric.absolute()),
        "limits": batch.limits,
        "nodes": batch.nodes,
        "parameters": {n: p.default for n, p in declared.items() if n not in ("cluster", "namespace")},
        "notebook": name,
        "files": dict(files(batch, hand_in)) | {name: runnable(nb)},
    }


def files(batch: Batch, hand_in: HandIn) -> Iterator[tuple[str, str]]:
    """Yield the course's files for students, and over them those that were handed in beside the notebook."""
    course = batch.reference.parent.parent
    for path in release.manifests_of(course, batch.reference.stem):
        yield path.relative_to(course).as_posix(), path.read_bytes().decode("latin-1")
    for file in hand_in.beside:
        at = file.path.find("manifests/")
        yield file.path[at:] if at >= 0 else f"notebooks/{Path(file.path).name}", file.content.decode("latin-1")


def runnable(nb: Any) -> str:
    """Return the notebook as it is run: without outputs, and without the cells that take its work away again."""
    import nbformat

    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if "cleanup" in notebook.tags(cell) or re.search(r"^lab\.cleanup\(\)", cell.source, re.MULTILINE):
                cell.source = "# not run: what the notebook made is what is judged"
    nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.writes(nb).encode().decode("latin-1")


def second_namespaces(reference: Path) -> list[str]:
    """Return the suffixes of the second namespaces that the lesson makes."""
    return sorted(set(SECOND.findall("\n".join(cell.source for cell in notebook.read(reference).cells))))


def nothing(marked: rubric.Rubric) -> list[dict[str, Any]]:
    """Return the exercises of a hand-in that could not be read: no points."""
    return [
        {"number": e.number, "title": e.title, "state": "not tried", "hints": [], "items": [
            {"name": i.name, "type": i.type, "state": "not tried", "points": 0.0, "of": i.points,
             "expected": i.expected, "found": "no notebook", "look": i.look} for i in e.items]}
        for e in marked.exercises.values()
    ]  # fmt: skip


class Pace:
    """How long the rest may take, from how long the first took."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.begun = clock, clock()

    def left(self, done: int, of: int) -> float:
        """Return the seconds that the rest may take."""
        return (self.clock() - self.begun) / done * (of - done) if done else 0.0
