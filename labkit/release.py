"""The student edition: solutions replaced by stubs, outputs cleared, checks and hints kept, manifests copied.

Solutions stand between nbgrader's markers, `### BEGIN SOLUTION` and `### END SOLUTION`, and nbgrader's stubs take
their place, so that nbgrader's users can take the notebooks as they are.

An nbgrader course has its `source/` made from the same notebooks, markers and all: a folder a lesson, with the lesson's
manifests in it, since nbgrader moves a folder about and nothing beside it.

A student's work is never overwritten. The release keeps a hash of every file it wrote: a file that still has it may be
replaced, any other is the student's, stays, and the new version is put beside it as NAME.new.ipynb.

Upstream: nbgrader's ClearSolutions preprocessor.
"""

import copy
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit import notebook
from labkit.errors import LabError

LEDGER = ".labkit-release.json"
BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
CODE_STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
SHELL_STUB = ("# YOUR CODE HERE",)  # no error: the check says "not tried", and "run all cells" goes on
TEXT_STUB = ("YOUR ANSWER HERE",)
PREDICTION = re.compile(r"""(lab\.predict\("[^"]*", )"[^"]*"\)""")  # a prediction is the student's own
ANSWERS = ("solution", "solutions")  # folders of manifests/ that hold answers


@dataclass(frozen=True)
class Change:
    """What was done with one file."""

    path: str
    done: str  # new, updated, unchanged, kept
    beside: str = ""

    @property
    def mark(self) -> str:
        """• for a file that was left to the student, ✓ for all others."""
        return "•" if self.done == "kept" else "✓"

    def __str__(self) -> str:
        if self.done != "kept":
            return f"{self.path} {self.done}"
        return f"{self.path} is yours and stays" + (f"; the new version is {self.beside}" if self.beside else "")


def release(source: Path, out: Path, *, nbgrader: bool = False) -> list[Change]:
    """Write the student edition of a course, or the sources of one in nbgrader.

    Raises LabError when there is no course or `out` cannot be written.
    """
    files = dict(nbgrader_sources(source) if nbgrader else edition(source))
    ledger = _read_ledger(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        changes = [_put(out, path, content, ledger) for path, content in files.items()]
        _write(out / LEDGER, json.dumps(ledger, indent=1, sort_keys=True).encode())
    except OSError as error:
        raise LabError(
            f"cannot write the student edition to {out}", value=error, next_step="name another folder: --out DIR"
        ) from None
    return changes


def edition(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the student edition: path below the folder, content."""
    import nbformat

    for path in notebook.find([source / "notebooks"]):
        student = for_students(notebook.read(path), path.name)
        yield f"notebooks/{path.name}", (nbformat.writes(student) + "\n").encode()
    for path in manifests_of(source):
        yield path.relative_to(source).as_posix(), path.read_bytes()


def nbgrader_sources(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an nbgrader course: source/LESSON/LESSON.ipynb, and source/LESSON/manifests beside it."""
    import nbformat

    for path in notebook.find([source / "notebooks"]):
        folder = f"source/{path.stem}"
        nb = without_traces(notebook.read(path))
        for cell in nb.cells:
            cell.source = cell.source.replace("../manifests/", "manifests/")
        yield f"{folder}/{path.name}", (nbformat.writes(nb) + "\n").encode()
        for file in manifests_of(source, path.stem):
            yield f"{folder}/{file.relative_to(source).as_posix()}", file.read_bytes()


def manifests_of(source: Path, lesson: str = "") -> list[Path]:
    """Return the files of manifests/ that students may see, of one lesson or of all."""
    found = sorted((source / "manifests" / lesson).rglob("*"))
    return [path for path in found if path.is_file() and not _is_hidden(path.relative_to(source).parts)]


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part in ANSWERS or part.startswith(".") for part in parts)


def for_students(nb: Any, name: str) -> Any:
    """Return a copy without solutions and outputs; raises LabError for a marker without its other."""
    nb = without_traces(nb)
    for index, cell in enumerate(nb.cells):
        cell.source = without_solution(cell.source, stub_of(cell), f"{name}, cell {index}")
    return nb


def without_traces(nb: Any) -> Any:
    """Return a copy without outputs, and without the author's predictions."""
    nb = copy.deepcopy(nb)
    for cell in nb.cells:
        cell.source = PREDICTION.sub(r'\1"…")', cell.source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cell.metadata.pop("papermill", None)
    return nb


def stub_of(cell: Any) -> tuple[str, ...]:
    """Choose the stub by what the cell is: text, a shell's or another language's, or Python."""
    if cell.cell_type != "code":
        return TEXT_STUB
    return SHELL_STUB if re.search(r"^\s*(%%|!)", cell.source, re.MULTILINE) else CODE_STUB


def without_solution(source: str, stub: tuple[str, ...], where: str) -> str:
    """Put the stub, indented alike, in the place of what stands between the markers, markers included."""
    lines: list[str] = []
    inside = False
    for line in source.split("\n"):
        if BEGIN in line:
            if inside:
                raise _marker_error(BEGIN, "twice", where)
            inside = True
            indent = re.match(r"\s*", line)
            lines += [(indent[0] if indent else "") + text for text in stub]
        elif END in line:
            if not inside:
                raise _marker_error(END, f"without {BEGIN}", where)
            inside = False
        elif not inside:
            lines.append(line)
    if inside:
        raise _marker_error(BEGIN, f"without {END}", where)
    return "\n".join(lines)


def _marker_error(marker: str, how: str, where: str) -> LabError:
    return LabError(
        f"{where}: ### {marker} stands there {how}",
        expected=f"### {BEGIN} … ### {END}, in one cell",
        next_step="nothing was released; mend the reference notebook",
    )


def _put(out: Path, path: str, content: bytes, ledger: dict[str, str]) -> Change:
    """Write one file unless it is the student's; note in the ledger what was released."""
    place, released, fresh = out / path, ledger.get(path), hash_of(content)
    ledger[path] = fresh
    if not place.exists():
        _write(place, content)
        return Change(path, "new")
    found = hash_of(place.read_bytes())
    if found == fresh:
        return Change(path, "unchanged")
    if found == released:
        _write(place, content)
        return Change(path, "updated")
    if released == fresh:
        return Change(path, "kept")
    beside = str(Path(path).with_suffix(f".new{place.suffix}"))
    _write(out / beside, content)
    return Change(path, "kept", beside)


def _write(place: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.chmod(fresh, 0o644)
    os.replace(fresh, place)


def _read_ledger(out: Path) -> dict[str, str]:
    try:
        return json.loads((out / LEDGER).read_text())
    except (FileNotFoundError, ValueError):
        return {}  # then every file that differs counts as the student's


def hash_of(content: bytes) -> str:
    """Return what the ledger keeps of a file."""
    return hashlib.sha256(content).hexdigest()
