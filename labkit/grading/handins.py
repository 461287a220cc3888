"""What was handed in: a folder a student, loose notebooks, or an LMS's zip; nothing in it can stop the batch.

A name in a zip never becomes a path on this machine before it has been looked at: absolute ones, ones with "..", and
links are left out and said. Of several notebooks of one student the newest counts. What cannot be read is a hand-in
all the same, with the reason, and no points.

A cell that stands there twice counts once, the last time; how cells are told apart says cells.py.
"""

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from labkit.errors import LabError
from labkit.grading import cells

MOST_BYTES = 32 << 20  # of one hand-in, unpacked
SUFFIXES = (".ipynb", ".yaml", ".yml")
STUDENT = re.compile(r"[^\w.@-]+")


@dataclass(frozen=True)
class File:
    """One file of a hand-in: its path below the student's folder, its content, when it was written."""

    path: str
    content: bytes
    written: float = 0.0


@dataclass(frozen=True)
class HandIn:
    """What one student handed in.

    notebook  the file that counts, None when there is none
    beside    manifests that came with it
    flags     what the instructor should know
    """

    student: str
    notebook: File | None
    beside: tuple[File, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Tell this hand-in from any other, by what was handed in."""
        whole = hashlib.sha256()
        for file in (*([self.notebook] if self.notebook else []), *self.beside):
            whole.update(f"{file.path}\0{len(file.content)}\0".encode() + file.content)
        return whole.hexdigest()


def find(place: Path) -> list[HandIn]:
    """Return the hand-ins of a folder or a zip, by student; raises LabError when there are none."""
    if not place.exists():
        raise LabError("no such folder of hand-ins", value=str(place), next_step="labkit grade FOLDER --lesson NN")
    by_student: dict[str, list[File]] = {}
    flags: dict[str, list[str]] = {}
    for student, found in _from(place):
        if isinstance(found, File):
            by_student.setdefault(student, []).append(found)
        else:
            by_student.setdefault(student, [])
            flags.setdefault(student, []).append(found)
    if not by_student:
        raise LabError(
            "no hand-ins there", value=str(place), expected="a folder a student, notebooks NAME.ipynb, or a zip"
        )
    return [_hand_in(name, files, flags.get(name, [])) for name, files in sorted(by_student.items())]


def packed(archive: Path) -> HandIn:
    """Return the hand-in of one student's zip."""
    student = plain(archive.stem)
    return _hand_in(student, [file for _, file in _unzipped(archive, student) if isinstance(file, File)], [])


def _from(place: Path) -> Iterator[tuple[str, File | str]]:
    if place.suffix == ".zip":
        yield from _unzipped(place, "")
        return
    for entry in sorted(place.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            yield plain(entry.stem), f"{entry.name} is a link: not followed"
        elif entry.is_dir():
            yield from _folder(entry)
        elif entry.suffix == ".zip":
            yield from _unzipped(entry, plain(entry.stem))
        elif entry.suffix == ".ipynb":
            yield plain(entry.stem), _read(entry, entry.name)


def _folder(folder: Path) -> Iterator[tuple[str, File | str]]:
    student = plain(folder.name)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(parent.is_symlink() for parent in (path, *path.parents) if parent.is_relative_to(folder)):
            yield student, f"{name} is a link: not followed"
        elif path.suffix == ".zip" and path.is_file():
            yield from _unzipped(path, student)
        elif path.is_file() and path.suffix in SUFFIXES and "/." not in f"/{name}":
            yield student, _read(path, name)
    if not any(folder.iterdir()):
        yield student, "the folder is empty"


def _read(path: Path, name: str) -> File | str:
    try:
        found = path.stat()
        if found.st_size > MOST_BYTES:
            return f"{name} is larger than {MOST_BYTES >> 20} MiB: not read"
        return File(name, path.read_bytes(), found.st_mtime)
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"


def _unzipped(archive: Path, student: str) -> Iterator[tuple[str, File | str]]:
    """Yield a zip's files; without a student its top folders, or its files' names up to a "_", name them."""
    try:
        with zipfile.ZipFile(archive) as opened:
            left = MOST_BYTES * (1 if student else 200)
            for entry in opened.infolist():
                whose, name = _owner(entry.filename, student)
                if trouble := _trouble(entry, left):
                    yield whose, trouble
                elif not entry.is_dir() and PurePosixPath(name).suffix in SUFFIXES and "__MACOSX" not in entry.filename:
                    left -= entry.file_size
                    yield whose, File(name, opened.read(entry), float(entry.date_time[0]))
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        yield student or plain(archive.stem), f"{archive.name} cannot be unpacked: {error}"


def _owner(name: str, student: str) -> tuple[str, str]:
    parts = PurePosixPath(name).parts
    if student:
        return student, name
    if len(parts) > 1:
        return plain(parts[0]), "/".join(parts[1:])
    return plain(PurePosixPath(name).stem.split("_")[0]), name


def _trouble(entry: zipfile.ZipInfo, left: int) -> str:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        return f"{entry.filename!r} leads out of the zip: left out"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return f"{entry.filename!r} is a link: left out"
    if entry.file_size > min(left, MOST_BYTES):
        return f"{entry.filename!r} is too large, unpacked: left out"
    return ""


def _hand_in(student: str, files: list[File], flags: list[str]) -> HandIn:
    notebooks = sorted((f for f in files if f.path.endswith(".ipynb")), key=lambda f: (f.written, f.path))
    if len(notebooks) > 1:
        flags = [*flags, f"{len(notebooks)} notebooks: {notebooks[-1].path} counts, the newest"]
    if not notebooks:
        flags = [*flags, "no notebook was handed in"]
    beside = tuple(sorted((f for f in files if not f.path.endswith(".ipynb")), key=lambda f: f.path))
    return HandIn(student, notebooks[-1] if notebooks else None, beside, tuple(flags))


def parse(hand_in: HandIn, reference: Any) -> tuple[Any, list[str]]:
    """Return the notebook to run and what is odd about it; raises LabError for what is no notebook."""
    import nbformat

    if hand_in.notebook is None:
        raise LabError("no notebook was handed in")
    try:
        raw = json.loads(hand_in.notebook.content)
        raw["cells"], twice = cells.once([cells.whole(cell) for cell in raw["cells"]])  # nbformat would rename a second
        raw = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5} | raw
        for number, cell in enumerate(raw["cells"]):
            cell["id"] = str(cell.get("id") or f"cell-{number}")
        nb = nbformat.reads(json.dumps(raw), as_version=4)
    except Exception as error:  # nbformat raises many kinds for what is no notebook
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise LabError(f"{hand_in.notebook.path} is not a notebook", value=said[:200]) from None
    flags = [f"cells that stand there twice, the last counts: {', '.join(twice)}"] if twice else []
    if again := cells.checked_twice(nb):
        flags.append(f"checked in more than one cell, the last answer counts: {', '.join(again)}")
    cells.restore(nb, reference)
    there = cells.work(nb, reference)
    wanted = [cells.key(cell) for cell in reference.cells if cells.is_exercise(cell)]
    if missing := [name for name in wanted if name not in there]:
        flags.append(f"cells of exercises not found: {', '.join(missing)}")
    return nb, flags


def plain(name: str) -> str:
    """Return a student's name as the name of a file."""
    return STUDENT.sub("-", name).strip(".-") or "nameless"
