"""`labkit submit`: one file to hand in, made of a notebook and the manifests that it names; and its receipt.

Refused is what cannot be meant: no notebook, an empty one, one that is as it was released. All else is said and handed
in all the same, since half a lesson in time is better than none: what the kernel did after the last save, what is not
answered, which cell fails when everything is run anew on a fresh cluster.

The receipt is the hash that the grader makes of the same content (handins.HandIn.digest), so that both can be compared.
"""

import contextlib
import json
import re
import tempfile
import zipfile
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from labkit import kernel, notebook, run, throwaway
from labkit.errors import LabError
from labkit.grading import handins
from labkit.release import LEDGER, hash_of
from labkit.worker import Progress, Result

NAMED = re.compile(r"[\w.-]*(?:/[\w.-]+)*/?")
STUB = re.compile(r"^\s*(# YOUR CODE HERE|YOUR ANSWER HERE)\s*$", re.MULTILINE)
CHECK = re.compile(r"""lab\.check\(\s*["']([^"']+)""")
PREDICTION = re.compile(r"""lab\.predict\(\s*["']([^"']+)["'],\s*["'](?:…|\.\.\.|\s*)["']""")
UNTRIED = re.compile(r"^○ (\S+) .*: not tried", re.MULTILINE)
SAVED_SECONDS = 2.0  # a kernel's last word may be noted a little after the save that holds it
MOST_FILES = 200


@dataclass(frozen=True)
class Draft:
    """What will be handed in; `files`: path in the hand-in → content."""

    path: Path
    nb: Any
    files: dict[str, bytes]

    @property
    def saved(self) -> datetime:
        return datetime.fromtimestamp(self.path.stat().st_mtime).astimezone()


def draft(path: Path) -> Draft:
    """Read what is to be handed in; raises LabError for what is none, is empty, or is as it was released."""
    if not path.is_file():
        raise LabError("no such notebook", value=str(path), next_step="labkit submit NOTEBOOK.ipynb")
    content, nb = path.read_bytes(), notebook.read(path)
    if not any(cell.cell_type == "code" and cell.source.strip() for cell in nb.cells):
        raise LabError(f"{path} is empty", next_step="save the notebook in JupyterLab (Ctrl+S), then submit again")
    course = path.absolute().parent.parent
    released = _released(course)
    if released.get(f"notebooks/{path.name}") == hash_of(content):
        raise LabError(f"{path} is as it was released: nothing of yours is in it",
                       next_step="save the notebook in JupyterLab (Ctrl+S), then submit again")  # fmt: skip
    files = {path.name: content}
    for file in named_files(nb, path.absolute().parent):
        name = file.relative_to(course).as_posix()
        if released.get(name) != hash_of(file.read_bytes()):
            files[name] = file.read_bytes()
    if sum(map(len, files.values())) > handins.MOST_BYTES or len(files) > MOST_FILES:
        raise LabError("too much for a hand-in", value=f"{len(files)} files, {sum(map(len, files.values()))} bytes",
                       expected=f"at most {MOST_FILES} files and {handins.MOST_BYTES >> 20} MiB",
                       next_step="clear the outputs of large cells and save")  # fmt: skip
    return Draft(path, nb, files)


def named_files(nb: Any, folder: Path) -> list[Path]:
    """Return the course's manifests that the code names, by file or by folder; nothing outside of the course."""
    found = set()
    for word in {w for c in nb.cells if c.cell_type == "code" for w in NAMED.findall(c.source) if "/" in w or "." in w}:
        place = (folder / word).resolve()
        if place == folder.parent or not place.is_relative_to(folder.parent.resolve()) or not place.exists():
            continue
        inside = place.rglob("*") if place.is_dir() and place != folder.resolve() else [place]
        found |= {file for file in inside if file.is_file() and file.suffix in handins.SUFFIXES[1:]}
    return sorted(found)


def unanswered(nb: Any) -> list[str]:
    """Return the exercises and predictions without an answer: stubs that still stand, checks that found nothing."""
    missing: dict[str, None] = {}
    stub = False
    for cell in nb.cells:
        missing |= dict.fromkeys(f"prediction {number}" for number in PREDICTION.findall(cell.source))
        said = "\n".join(str(output.get("text") or (output.get("data") or {}).get("text/plain") or "")
                         for output in cell.get("outputs", []))  # fmt: skip
        stub = stub or bool(STUB.search(cell.source))
        if checks := CHECK.findall(cell.source):
            numbers = [n for n in checks if stub or n in UNTRIED.findall(said)]
            missing |= dict.fromkeys(f"exercise {number}" for number in numbers)
            stub = False
    return list(missing)


def worked_since(path: Path) -> datetime | None:
    """Return when a kernel that has the notebook open worked last, if that was after the notebook was saved."""
    from jupyter_server.serverapp import list_running_servers

    saved = path.stat().st_mtime
    for server in list_running_servers():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            with urlopen(f"{server['url']}api/sessions?token={server['token']}", timeout=5) as answer:
                sessions = json.load(answer)
            for session in sessions:
                last = datetime.fromisoformat(session["kernel"]["last_activity"])
                same = Path(server["root_dir"], session["path"]).resolve() == path.resolve()
                if same and last.timestamp() > saved + SAVED_SECONDS:
                    return last.astimezone()
    return None


def run_anew(path: Path, progress: Progress = run.silent) -> tuple[Result, Any]:
    """Run all cells on a fresh cluster, also after one that fails; return how it went, and the executed notebook."""
    with (
        tempfile.TemporaryDirectory(prefix="labkit-submit-") as name,
        throwaway.own_cluster() as cluster,
        kernel.prepared() as environment,
    ):
        jobs = run.plan([path], where={cluster: cluster}, parameters={}, out=Path(name))
        (result,) = run.run_all([replace(job, go_on=True) for job in jobs], environment, progress=progress)
        return result, notebook.read(Path(jobs[0].out))


def write(draft: Draft, out: Path) -> str:
    """Write the hand-in and return its receipt, read back from the file; raises LabError when it cannot be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh = out.with_name(f".{out.name}")
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in draft.files.items():
                archive.writestr(zipfile.ZipInfo(name, draft.saved.timetuple()[:6]), content)
        fresh.replace(out)
    except OSError as error:
        raise LabError(f"cannot write {out}", value=error.strerror, next_step="--out FILE.zip names another") from None
    return handins.packed(out).digest


def _released(course: Path) -> dict[str, str]:
    try:
        return dict(json.loads((course / LEDGER).read_text()))
    except (OSError, ValueError):
        return {}
