"""What was handed in: a folder a student, loose notebooks, or an LMS's zip; nothing in it can stop the batch.

A name in a zip never becomes a path on this machine before it has been looked at: absolute ones, ones with "..", and
links are left out and said. Of several notebooks of one student the newest counts. What cannot be read is a hand-in
all the same, with the reason, and no points; what one student's part of a zip costs, another's never pays.

Two students are never taken for one: names that would be one as a file's are numbered, and names that a reader would
take for each other are flagged.

A cell that stands there twice counts once, the last time; how cells are told apart says cells.py.
"""

import hashlib
import io
import json
import re
import stat
import unicodedata
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from labkit.errors import LabError
from labkit.grading import cells

MOST_BYTES = 32 << 20  # of one hand-in, unpacked
MOST_FILES, MOST_FLAGS = 200, 20  # of one hand-in
LONGEST_NAME = 100  # bytes: names of files that are made of it must be shorter than 255
SUFFIXES = (".ipynb", ".yaml", ".yml")
PACKED = (".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
MAC = "__MACOSX"  # what macOS puts into a zip beside the files
STUDENT = re.compile(r"[^\w.@-]+")
LOOK_ALIKE = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}  # alphabets whose letters pass for another's
LMS = re.compile(r"(.+?)_(?:LATE_)?(\d+)_")  # NAME_1234_…, a file of Canvas's or Moodle's zip


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
            whole.update(f"{file.path}\0{len(file.content)}\0".encode(errors="surrogateescape") + file.content)
        return whole.hexdigest()


def find(place: Path) -> list[HandIn]:
    """Return the hand-ins of a folder or a zip, by student; raises LabError when there are none."""
    if not place.exists():
        raise LabError("no such folder of hand-ins", value=str(place), next_step="labkit grade FOLDER --lesson NN")
    found: dict[str, list[File]] = {}
    flags: dict[str, list[str]] = {}
    for whose, each in _from(place):
        files = found.setdefault(whose, [])
        if isinstance(each, str):
            flags.setdefault(whose, []).append(each)
        elif len(files) < MOST_FILES:
            files.append(each)
        elif f"more than {MOST_FILES} files" not in flags.setdefault(whose, []):
            flags[whose].append(f"more than {MOST_FILES} files")
    if not found:
        raise LabError(
            "no hand-ins there", value=str(place), expected="a folder a student, notebooks NAME.ipynb, or a zip"
        )
    names = named(found)
    doubtful = doubts(names)
    hand_ins = [_hand_in(names[whose], files, flags.get(whose, []) + doubtful[whose]) for whose, files in found.items()]
    return sorted(hand_ins, key=lambda h: h.student)


def packed(archive: Path) -> HandIn:
    """Return the hand-in of one student's zip."""
    student = plain(archive.stem)
    return _hand_in(student, [file for _, file in _unzipped(archive, student) if isinstance(file, File)], [])


def _from(place: Path) -> Iterator[tuple[str, File | str]]:
    if not place.is_dir():
        if place.suffix.lower() == ".zip":
            yield from _unzipped(place, "")
        elif place.suffix.lower() == ".ipynb":
            yield place.stem, _read(place, place.name)
        return
    for entry in sorted(place.iterdir()):
        kind = entry.suffix.lower()
        if entry.name.startswith(".") or entry.name == MAC:
            continue
        if entry.is_symlink():
            yield entry.stem, f"{entry.name} is a link: not followed"
        elif entry.is_dir():
            yield from _folder(entry)
        elif kind in PACKED:
            yield entry.stem, f"{entry.name} is no zip and no notebook: not read"
        elif kind == ".zip" and entry.is_file():
            yield from _unzipped(entry, entry.stem)
        elif kind == ".ipynb":
            yield entry.stem, _read(entry, entry.name)


def _folder(folder: Path) -> Iterator[tuple[str, File | str]]:
    student = folder.name
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(parent.is_symlink() for parent in (path, *path.parents) if parent.is_relative_to(folder)):
            yield student, f"{name} is a link: not followed"
        elif path.suffix.lower() == ".zip" and path.is_file():
            yield from _unzipped(path, student)
        elif path.suffix.lower() in SUFFIXES and not _is_hidden(name) and not path.is_dir():
            yield student, _read(path, name)
    if not any(folder.iterdir()):
        yield student, "the folder is empty"


def _is_hidden(name: str) -> bool:
    """Tell whether a file is a tool's own, as Jupyter's checkpoints are."""
    parts = PurePosixPath(name).parts
    return MAC in parts or any(part.startswith(".") and part != ".." for part in parts)


def _read(path: Path, name: str) -> File | str:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return f"{name} is no plain file: not read"
        if found.st_size > MOST_BYTES:
            return f"{name} is larger than {MOST_BYTES >> 20} MiB: not read"
        return File(name, path.read_bytes(), found.st_mtime)
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"


def _unzipped(archive: Path | IO[bytes], student: str, name: str = "", left: dict[str, int] | None = None,
              depth: int = 2) -> Iterator[tuple[str, File | str]]:  # fmt: skip
    """Yield a zip's files; without a student its top folders, or its files' names, name them; a zip in it is theirs.

    `left` is how many bytes each student may still have.
    """
    name = name or getattr(archive, "name", "")
    left = defaultdict(lambda: 2 * MOST_BYTES) if left is None else left
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [e for e in opened.infolist() if not e.is_dir() and not _is_hidden(e.filename)]
            owners = {} if student else owners_of([e.filename for e in entries])
            for entry in entries:
                whose, path = (student, entry.filename) if student else owners[entry.filename]
                content = _content(opened, entry, path, left[whose], depth)
                left[whose] -= entry.file_size if isinstance(content, bytes) else 0
                if isinstance(content, bytes) and path.lower().endswith(".zip"):
                    yield from _unzipped(io.BytesIO(content), whose, entry.filename, left, depth - 1)
                elif content is not None:
                    yield whose, content if isinstance(content, str) else File(path, content, _written(entry))
    except Exception as error:  # zipfile raises many kinds for what is no zip
        yield student or Path(name).stem, f"{name} cannot be unpacked: {error}"


def _content(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str, left: int, depth: int) -> bytes | str | None:
    """Return what an entry of a zip holds, why it is left out, or None for what is not asked for."""
    if trouble := _trouble(entry, left):
        return trouble
    kind = PurePosixPath(path).suffix.lower()
    if kind not in SUFFIXES and not (kind == ".zip" and depth):
        return None
    try:
        return opened.read(entry)
    except Exception as error:  # a wrong checksum, a password, a method that is not known: this entry's own fault
        return f"{entry.filename!r} cannot be unpacked: {error}"


def _written(entry: zipfile.ZipInfo) -> float:
    try:
        return datetime(*entry.date_time).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def owners_of(names: list[str]) -> dict[str, tuple[str, str]]:
    """Return whose each file of a class's zip is, and its path there: told by the top folder, else by its name.

    NAME_NUMBER_… is how an LMS names files; else what comes before a "_" is the student, unless that is two students'.
    """
    loose = [PurePosixPath(n).stem for n in names if len(PurePosixPath(n).parts) == 1]
    begin = Counter(stem.split("_")[0] for stem in set(loose) if not LMS.match(stem))
    found = {}
    for name in names:
        parts, stem = PurePosixPath(name).parts, PurePosixPath(name).stem
        if len(parts) > 1:
            found[name] = (parts[0], "/".join(parts[1:]))
        elif told := LMS.match(stem):
            found[name] = (f"{told[1]}_{told[2]}_", name)
        else:
            first = stem.split("_")[0]
            found[name] = (first if first and begin[first] == 1 else stem, name)
    return found


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
    notebooks = sorted((f for f in files if _is_notebook(f)), key=lambda f: (f.written, f.path))
    if len(flags) > MOST_FLAGS:
        flags = [*flags[:MOST_FLAGS], f"and {len(flags) - MOST_FLAGS} more files that were left out"]
    if len(notebooks) > 1:
        flags = [*flags, f"{len(notebooks)} notebooks: {notebooks[-1].path} counts, the newest"]
    if not notebooks:
        flags = [*flags, "no notebook was handed in"]
    beside = tuple(sorted((f for f in files if not _is_notebook(f)), key=lambda f: f.path))
    return HandIn(student, notebooks[-1] if notebooks else None, beside, tuple(flags))


def _is_notebook(file: File) -> bool:
    return file.path.lower().endswith(".ipynb")


def parse(hand_in: HandIn, reference: Any) -> tuple[Any, list[str]]:
    """Return the notebook to run and what is odd about it; raises LabError for what is no notebook."""
    import nbformat

    if hand_in.notebook is None:
        raise LabError("no notebook was handed in")
    try:
        raw = json.loads(hand_in.notebook.content)
        raw["cells"], twice = cells.once([cells.whole(cell) for cell in raw["cells"]])  # nbformat would rename a second
        raw = {"nbformat": 4, "nbformat_minor": 5} | raw | {"metadata": cells.mapping(raw.get("metadata"))}
        for number, cell in enumerate(raw["cells"]):
            cell["id"] = str(cell.get("id") or f"cell-{number}")
        text = json.dumps(raw, ensure_ascii=False).encode(errors="replace").decode()  # half a character is none
        nb = nbformat.reads(text, as_version=4)
        cells.restore(nb, reference)
        there = cells.work(nb, reference)
    except Exception as error:  # nbformat raises many kinds for what is no notebook
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise LabError(f"{hand_in.notebook.path} is not a notebook", value=said[:200]) from None
    flags = [f"cells that stand there twice, the last counts: {', '.join(twice)}"] if twice else []
    if again := cells.checked_twice(nb):
        flags.append(f"checked in more than one cell, the last answer counts: {', '.join(again)}")
    wanted = [cells.key(cell) for cell in reference.cells if cells.is_exercise(cell)]
    if missing := [name for name in wanted if name not in there]:
        flags.append(f"cells of exercises not found: {', '.join(missing)}")
    return nb, flags


def plain(name: str) -> str:
    """Return a student's name as the name of a file."""
    short = STUDENT.sub("-", unicodedata.normalize("NFC", name)).strip(".-")
    return short.encode()[:LONGEST_NAME].decode(errors="ignore").strip(".-") or "nameless"


def named(students: Iterable[str]) -> dict[str, str]:
    """Return the name of each student as a file may bear it; of two that would be one, the second is numbered."""
    names: dict[str, str] = {}
    for student in sorted(students):
        name, number = _name(student), 1
        while name in names.values():
            number += 1
            name = f"{_name(student)}-{number}"
        names[student] = name
    return names


def _name(student: str) -> str:
    told = LMS.fullmatch(student)
    return plain(told[1] if told else student)


def doubts(names: dict[str, str]) -> dict[str, list[str]]:
    """Return what is to be said of each student's name: numbered, nearly another's, of two alphabets."""
    found: dict[str, list[str]] = {student: [] for student in names}
    folded = Counter(_folded(name) for name in names.values())
    for student, name in names.items():
        if name != _name(student):
            found[student].append(f"another hand-in is named {_name(student)}: this one is called {name}")
        if folded[_folded(name)] > 1:
            others = [n for n in names.values() if n != name and _folded(n) == _folded(name)]
            found[student].append(f"nearly the name of another hand-in: {', '.join(others)}")
        alphabets = {unicodedata.name(c, "?").split()[0] for c in name if c.isalpha()} & LOOK_ALIKE
        if len(alphabets) > 1:
            found[student].append(f"the name mixes alphabets: {', '.join(sorted(alphabets))}")
    return found


def _folded(name: str) -> str:
    return re.sub(r"[._@]", "-", unicodedata.normalize("NFKC", name).casefold())
