"""A batch: every hand-in in a process of its own, several at once; a result each, kept by what it was made of.

A result's key is a hash of the hand-in, the rubric and the kit. With `resume`, a hand-in that has a result of the same
key is left alone, unless the grader could not tell. Without it, a folder that holds results is refused: marks are never
overwritten in silence.
"""

import fcntl
import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labkit import __version__, notebook, release, rubric
from labkit.errors import LabError
from labkit.grading import cells, handins, judge, shown, similar, warm
from labkit.grading.crew import BEGUN, Crew, Here
from labkit.grading.handins import HandIn
from labkit.grading.worker import write_whole
from labkit.lab import check_name, default_namespace

LIMITS: dict[str, Any] = {
    "seconds": 600.0, "cell_seconds": 120.0, "memory": 3 << 30, "processes": 256, "files": 1024,
    "disk": 256 << 20, "file": 64 << 20, "output": 1 << 20,
    "objects": 128 << 20,
}  # fmt: skip
CLEANUP = re.compile(r"^([ \t]*)lab\.cleanup\(.*\).*$", re.MULTILINE)
SECOND = re.compile(r"""\.make_namespace\(["']([a-z0-9-]+)["']\)""")
PREDICTS = re.compile(r"""\blab\.predict\(\s*["']([^"']+)["']""")
METADATA = ("tags", "nbgrader")  # what a cell keeps of its metadata when it is run
EMBEDDED = "glassbox"
LONGEST_NAMESPACE = 50  # so that there is room for a second one's suffix
MOST_WORK = 20_000  # characters of an answer that are shown, and compared with others'
LAST_SECONDS = 300.0  # beyond a hand-in's own limit: for its cluster and its judge
FOLDER = "results"
MADE = "batch.json"  # of what the folder's results are


@dataclass(frozen=True)
class Batch:
    """What is graded against what, and where the results go."""

    lesson: str
    out: Path
    rubric: Path
    reference: Path
    limits: dict[str, Any] = field(default_factory=lambda: LIMITS)
    nodes: int = 2
    cluster: str = ""  # of a kubeconfig; "" for an embedded one a hand-in
    owner: dict[str, Any] | None = None  # that cluster's kubeconfig

    def namespace(self, hand_in: HandIn) -> str:
        """Name where a hand-in works: apart and nameless on a cluster that is shared."""
        if not self.owner:
            return f"lab-{self.lesson}"
        apart = f"{hand_in.student}\0{self.key(hand_in)}"  # two students may hand in the same
        return f"lab-{self.lesson}-{hashlib.sha256(apart.encode()).hexdigest()[:8]}"

    def key(self, hand_in: HandIn) -> str:
        """Tell one result's making from another's."""
        return self.key_of(hand_in.digest)

    def key_of(self, digest: str) -> str:
        """Do the same for a hand-in of which the digest alone is known."""
        parts = (digest.encode(), self.rubric.read_bytes(), self.reference.read_bytes(), __version__.encode())
        return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def has(self, result: dict[str, Any], hand_in: HandIn) -> bool:
        """Tell whether that is the hand-in's result, for good: not so what this cluster may have an image for."""
        here = self.cluster or EMBEDDED
        well = result.get("key") == self.key(hand_in) and not result["trouble"]
        return well and (not result.get("lacks") or result.get("cluster") == here)

    @property
    def made(self) -> dict[str, str]:
        """What tells a folder of results from one of another lesson or rubric."""
        digest = hashlib.sha256(self.rubric.read_bytes()).hexdigest()
        return {"lesson": self.lesson, "rubric": str(self.rubric.absolute()), "digest": digest, "kit": __version__}


def prepare(lesson: str, out: Path, *, given: Path | None = None, resume: bool = False, recheck: bool = False,
            **options: Any) -> Batch:  # fmt: skip
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
    batch = Batch(lesson, out, file, reference, **options)
    check_folder(batch, resume, recheck=recheck)
    return batch


def check_folder(batch: Batch, resume: bool, *, recheck: bool) -> None:
    """See that the folder's results, if there are any, are of this lesson and rubric; raises LabError."""
    if not any((batch.out / FOLDER).glob("*.json")):
        return
    if not resume:
        raise LabError(
            f"{batch.out} holds results",
            next_step="--resume grades what is missing or has changed; --out DIR starts anew",
        )
    there = made(batch.out)
    if there.get("lesson") != batch.lesson:
        raise LabError(f"{batch.out} holds results of another lesson", value=there.get("lesson"),
                       expected=batch.lesson, next_step="--out DIR names another folder")  # fmt: skip
    if there.get("digest") != batch.made["digest"] and not recheck:
        raise LabError(f"{batch.out} holds results of another rubric", value=there.get("rubric"),
                       expected=f"{batch.rubric}, as it is now",
                       next_step="--recheck judges again what was kept; --out DIR starts anew")  # fmt: skip


def made(out: Path) -> dict[str, str]:
    """Return what the results of a folder were made of."""
    try:
        return dict(json.loads((out / MADE).read_text()))
    except FileNotFoundError:
        return {}


def grade(batch: Batch, found: list[HandIn], *, jobs: int = 1, crew: Crew | None = None,
          done: Callable[[dict[str, Any], int, int], None] = lambda *_: None) -> list[dict[str, Any]]:  # fmt: skip
    """Grade what has no result of its key yet; return all results, by student."""
    before = {r["student"]: r for r in results(batch.out)}
    waiting = [h for h in found if not batch.has(before.get(h.student, {}), h)]
    write_whole(batch.out / MADE, json.dumps(batch.made, indent=1))
    crew = crew or Here(batch.owner, jobs)
    with sole(batch.out), crew as workers, ThreadPoolExecutor(jobs + crew.ahead) as pool:
        futures = [pool.submit(one, batch, hand_in, workers) for hand_in in waiting]
        try:
            for count, future in enumerate(as_completed(futures), 1):
                done(future.result(), count, len(waiting))
        except (KeyboardInterrupt, LabError):
            pool.shutdown(wait=False, cancel_futures=True)
            workers.end()
            raise
    students = {h.student for h in found}
    return [r for r in results(batch.out) if r["student"] in students]


@contextmanager
def sole(out: Path) -> Iterator[None]:
    """Be the only batch that works in a folder; remove first what one that was killed has left elsewhere."""
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"another labkit grade works in {out}", next_step="wait for it, or --out DIR") from None
        (out / BEGUN).mkdir(exist_ok=True)
        for note in (out / BEGUN).iterdir():
            shutil.rmtree(note.read_text() or "/nonexistent", ignore_errors=True)
            note.unlink()
        note = out / BEGUN / ".batch"
        write_whole(note, warm.directory())  # of the fork server's socket
        yield
        note.unlink()


def results(out: Path) -> list[dict[str, Any]]:
    """Return the results of a folder, by student."""
    return [json.loads(path.read_text()) for path in sorted((out / FOLDER).glob("*.json"))]


def one(batch: Batch, hand_in: HandIn, workers: Crew) -> dict[str, Any]:
    """Grade one hand-in; what is no notebook earns nothing, with the reason, and costs no time."""
    reference, marked = notebook.read(batch.reference), rubric.load(batch.rubric)
    facts: dict[str, Any] = {
        "student": hand_in.student,
        "lesson": batch.lesson,
        "key": batch.key(hand_in),
        "receipt": hand_in.digest,
        "cluster": batch.cluster or EMBEDDED,
        "namespace": batch.namespace(hand_in),
        "flags": [*hand_in.flags],
    }
    place = batch.out / FOLDER / f"{hand_in.student}.json"
    try:
        nb, flags = handins.parse(hand_in, reference)
        facts["flags"] += flags
        facts["namespace"] = facts["namespace"] if batch.owner else own_namespace(nb, batch.lesson)
        facts["work"] = work(batch, hand_in, nb, reference)
        ordered = order(batch, hand_in, nb, facts, place)
    except LabError as error:
        unread = judge.unjudged(marked, "no notebook", 0.0)
        return _leave(place, facts | {"unreadable": str(error), "trouble": "", "seconds": 0.0, "exercises": unread})
    except Exception as error:  # one hand-in's oddity must not cost the others
        return _lost(place, facts, marked, f"the grader cannot read it: {type(error).__name__}: {error}")
    place.unlink(missing_ok=True)
    said = workers.run(ordered, batch.limits["seconds"] + LAST_SECONDS)
    if workers.ended:
        return facts
    if not place.exists():
        return _lost(place, facts, marked, f"the grader's own process failed: {said}")
    return dict(json.loads(place.read_text()))


def _lost(place: Path, facts: dict[str, Any], marked: rubric.Rubric, why: str) -> dict[str, Any]:
    """Leave a result that says why there is none: the grader's own fault is never a zero."""
    return _leave(place, facts | {"trouble": why, "exercises": judge.unjudged(marked, why, None), "seconds": 0.0})


def _leave(place: Path, result: dict[str, Any]) -> dict[str, Any]:
    write_whole(place, json.dumps(result, indent=1))
    return result


def own_namespace(nb: Any, lesson: str) -> str:
    """Name the namespace that the notebook had on the student's own cluster: its manifests may name it too."""
    try:
        given = {name: parameter.default for name, parameter in notebook.parameters(nb).items()}
        name = given.get("namespace") or default_namespace(lesson, str(given.get("student", "")))
        check_name(name)
    except (LabError, SyntaxError, ValueError, TypeError):
        name = ""
    taken = not name or name == "default" or name.startswith("kube-") or len(name) > LONGEST_NAMESPACE
    return default_namespace(lesson, "") if taken else name


def work(batch: Batch, hand_in: HandIn, nb: Any, reference: Any) -> dict[str, str]:
    """Return what the student wrote: in the exercises' cells and in files beside, without what all were given."""
    starter = release.for_students(reference, batch.reference.name)
    course = [content for _, content in files(batch, replace(hand_in, beside=()))]
    given = similar.lines_given([*(cell.source for cell in starter.cells), *course])
    beside = {f.path: f.content.decode(errors="replace") for f in hand_in.beside}
    wrote = cells.work(nb, reference) | beside
    return {name: text[:MOST_WORK] for name, source in wrote.items() if (text := similar.own(source, given)).strip()}


def order(batch: Batch, hand_in: HandIn, nb: Any, facts: dict[str, Any], place: Path) -> dict[str, Any]:
    """Say what a worker is to do, all of it, in plain data."""
    declared = notebook.parameters(notebook.read(batch.reference))
    name = f"notebooks/{batch.reference.name}"
    return {
        "facts": facts,
        "result": str(place.absolute()),
        "kept": str((batch.out / "kept" / hand_in.student).absolute()),
        "executed": str((batch.out / "executed" / f"{hand_in.student}.ipynb").absolute()),
        "objects": str((batch.out / "objects" / f"{hand_in.student}.json.gz").absolute()),
        "owner": batch.owner,
        "namespace": facts["namespace"],
        "others": [f"{facts['namespace']}-{suffix}" for suffix in found_in(batch.reference, SECOND)],
        "rubric": str(batch.rubric.absolute()),
        "limits": batch.limits,
        "nodes": batch.nodes,
        "parameters": {n: p.default for n, p in declared.items() if n not in ("cluster", "namespace")},
        "shown": shown.recorded(nb),
        "claims": shown.claims(nb),
        "predicts": found_in(batch.reference, PREDICTS),
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
    """Return the notebook as it is run: without outputs, and without the lines that take its work away again."""
    import nbformat

    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.source = CLEANUP.sub(r"\1pass  # not run: what the notebook made is what is judged", cell.source)
        cell.metadata = nbformat.from_dict({name: cell.metadata[name] for name in METADATA if name in cell.metadata})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nb.metadata = nbformat.from_dict({"kernelspec": kernel})  # any tool may have written the rest, and ours read it
    return nbformat.writes(nb).encode().decode("latin-1")


def found_in(reference: Path, what: re.Pattern[str]) -> list[str]:
    """Return what a pattern's group finds in the lesson's cells: second namespaces, predictions' numbers."""
    return sorted(set(what.findall("\n".join(cell.source for cell in notebook.read(reference).cells))))


class Pace:
    """How long the rest may take, from how long the first took."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.begun = clock, clock()

    def left(self, done: int, of: int) -> float:
        """Return the seconds that the rest may take."""
        return (self.clock() - self.begun) / done * (of - done) if done else 0.0
