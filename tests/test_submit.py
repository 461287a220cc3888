"""`labkit submit`: what a student hands in, what is refused, what is said; and that the grader reads the same."""

import datetime
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from labkit.errors import LabError
from labkit.grading import handins, submit
from labkit.release import release
from tests.lessons import ROOT

CELLS = (
    'cluster = "glassbox"\nnamespace = ""\nstudent = ""\nseed = 0',
    'from labkit import Lab\nlab = Lab(cluster=cluster, namespace=namespace, lesson="03")',
    'lab.predict("03.a", "…")',
    "!kubectl apply -f ../manifests/mine.yaml\nlab.check('03.1')",
    "raise ValueError('as it is')",
    "# YOUR CODE HERE",
    'lab.check("03.3", answer=...)',
    "lab.cleanup()",
)
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: mine\n"


@pytest.fixture
def course(tmp_path):
    """A student's folder with a notebook of his own."""
    for folder in ("notebooks", "manifests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "manifests" / "mine.yaml").write_text(MAP)
    (tmp_path / "manifests" / "other.yaml").write_text(MAP)
    save(tmp_path, *CELLS)
    return tmp_path


def save(course, *sources):
    cells = [new_code_cell(source) for source in sources]
    if cells:
        cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(new_notebook(cells=cells), course / "notebooks" / "03_mine.ipynb")


def command(course, *options):
    return subprocess.run(
        [sys.executable, "-m", "labkit", "submit", "notebooks/03_mine.ipynb", "--student", "ana", *options], cwd=course,
        capture_output=True, text=True, timeout=300, env={**os.environ, "LABKIT_HOME": str(course / "home")},
    )  # fmt: skip


def test_the_receipt_is_the_hash_that_the_grader_makes_of_the_file(course):
    run = command(course, "--no-run")
    assert run.returncode == 0, run.stderr
    (found,) = handins.find(course / "hand-in" / "03_mine")
    assert (found.student, [file.path for file in found.beside]) == ("ana", ["manifests/mine.yaml"])
    assert f"receipt: {found.digest}\n" in run.stdout


def test_what_is_not_answered_is_listed(course):
    said = command(course, "--no-run").stdout
    assert [line.split(": ")[1] for line in said.splitlines() if "not answered" in line] == [
        "prediction 03.a", "exercise 03.3"]  # fmt: skip


@pytest.mark.cluster
def test_everything_is_run_anew_and_what_fails_or_finds_nothing_is_said_and_handed_in_all_the_same(course):
    run = command(course)
    assert "✗ cell 4: ValueError: as it is" in run.stdout, run.stdout + run.stderr
    assert "not answered: exercise 03.1" in run.stdout  # its check found nothing
    assert (run.returncode, list((course / "home" / "clusters").glob("*"))) == (0, [])
    assert (course / "hand-in" / "03_mine" / "ana.zip").exists()


@pytest.mark.parametrize(("sources", "why"), [((), "is empty"), (("", "  "), "is empty")])
def test_an_empty_notebook_is_refused(course, sources, why):
    save(course, *sources)
    with pytest.raises(LabError, match=why):
        submit.draft(course / "notebooks" / "03_mine.ipynb")


def test_a_notebook_as_it_was_released_is_refused_since_it_was_not_saved(tmp_path):
    release(ROOT, tmp_path)
    with pytest.raises(LabError, match=r"as it was released.*\n.*Ctrl\+S|Ctrl\+S"):
        submit.draft(tmp_path / "notebooks" / "03_labels.ipynb")


def test_manifests_as_they_were_released_are_not_handed_in_and_changed_ones_are(tmp_path):
    release(ROOT, tmp_path)
    path = tmp_path / "notebooks" / "08_milestone.ipynb"
    nb = nbformat.read(path, as_version=4)
    nb.cells.append(new_code_cell("!kubectl apply -f ../manifests/08_milestone/mine"))
    nbformat.write(nb, path)
    (tmp_path / "manifests/08_milestone/mine").mkdir()
    for name in ("mine/store.yaml", "web-starter.yaml"):
        (tmp_path / "manifests/08_milestone" / name).write_text(MAP)
    assert sorted(submit.draft(path).files) == [
        "08_milestone.ipynb", "manifests/08_milestone/mine/store.yaml", "manifests/08_milestone/web-starter.yaml",
    ]  # fmt: skip


def test_nothing_outside_of_the_course_is_handed_in(course):
    (course.parent / "secret.yaml").write_text(MAP)
    (course / "notebooks" / "link.yaml").symlink_to(course.parent / "secret.yaml")
    save(course, "", "!cat ../../secret.yaml link.yaml /etc/passwd ../manifests/../../secret.yaml")
    assert list(submit.draft(course / "notebooks" / "03_mine.ipynb").files) == ["03_mine.ipynb"]


@pytest.mark.parametrize(("seconds", "warned"), [(60, True), (-60, False)])
def test_a_kernel_that_worked_after_the_save_is_told(course, tmp_path, monkeypatch, seconds, warned):
    path = course / "notebooks" / "03_mine.ipynb"
    last = path.stat().st_mtime + seconds
    stamp = datetime.datetime.fromtimestamp(last, datetime.UTC).isoformat()
    answer = json.dumps([{"path": "notebooks/03_mine.ipynb", "kernel": {"last_activity": stamp}}]).encode()

    class Sessions(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/api/sessions?token=t"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Sessions) as server:
        threading.Thread(target=server.serve_forever).start()
        runtime = tmp_path / "runtime"
        runtime.mkdir()
        about = {
            "pid": os.getpid(),
            "token": "t",
            "root_dir": str(course),
            "url": f"http://127.0.0.1:{server.server_port}/",
        }
        (runtime / "jpserver-1.json").write_text(json.dumps(about))
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(runtime))
        assert (submit.worked_since(path) is not None) is warned
        server.shutdown()


def test_a_check_that_found_nothing_when_it_was_run_is_not_answered():
    cell = new_code_cell('lab.check("03.2")')
    cell.outputs = [
        new_output("execute_result", {"text/plain": "○ 03.2 Quarantine: not tried · nothing found to check"})
    ]
    assert submit.unanswered(new_notebook(cells=[cell])) == ["exercise 03.2"]
