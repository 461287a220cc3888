"""The student edition: solutions out, a student's work safe."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labkit.errors import LabError
from labkit.release import release, without_solution

SOLVED = "x = 1\n### BEGIN SOLUTION\nx = 2\n### END SOLUTION\nlab.check('03.1')"


@pytest.fixture
def course(tmp_path):
    source = tmp_path / "course"
    (source / "notebooks").mkdir(parents=True)
    (source / "manifests" / "03" / "solution").mkdir(parents=True)
    (source / "manifests" / "03" / "web.yaml").write_text("kind: Pod\n")
    (source / "manifests" / "03" / "solution" / "web.yaml").write_text("kind: Pod\n")
    write(source, SOLVED)
    return source


def write(source, code):
    cell = new_code_cell(code, execution_count=3, outputs=[new_output("stream", text="2\n")])
    notebook = new_notebook(cells=[new_markdown_cell("# Labels"), cell])
    nbformat.write(notebook, source / "notebooks" / "03.ipynb")


def cells(out, name="03.ipynb"):
    return nbformat.read(out / "notebooks" / name, as_version=4).cells


def test_a_solution_gives_way_to_nbgraders_stub_and_the_check_stays(course, tmp_path):
    release(course, tmp_path / "work")
    source = cells(tmp_path / "work")[1].source
    assert source == "x = 1\n# YOUR CODE HERE\nraise NotImplementedError()\nlab.check('03.1')"


def test_outputs_are_cleared(course, tmp_path):
    release(course, tmp_path / "work")
    cell = cells(tmp_path / "work")[1]
    assert (cell.outputs, cell.execution_count) == ([], None)


def test_manifests_come_along_but_for_their_solutions(course, tmp_path):
    release(course, tmp_path / "work")
    manifests = tmp_path / "work" / "manifests"
    assert [p.relative_to(manifests).as_posix() for p in manifests.rglob("*.yaml")] == ["03/web.yaml"]


def test_the_stub_is_indented_as_the_solution_was():
    source = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    assert without_solution(source, ("pass",), "") == "def f():\n    pass"


@pytest.mark.parametrize(
    "source", ["### BEGIN SOLUTION\nx", "x\n### END SOLUTION", "### BEGIN SOLUTION\n### BEGIN SOLUTION"]
)
def test_a_marker_without_its_other_releases_nothing(course, tmp_path, source):
    write(course, source)
    with pytest.raises(LabError, match=r"03\.ipynb, cell 1"):
        release(course, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_an_untouched_file_follows_the_course(course, tmp_path):
    release(course, tmp_path / "work")
    write(course, "y = 1")
    assert [str(c) for c in release(course, tmp_path / "work")][0] == "notebooks/03.ipynb updated"
    assert cells(tmp_path / "work")[1].source == "y = 1"


def test_a_students_file_stays_and_the_new_version_is_put_beside_it(course, tmp_path):
    work = tmp_path / "work"
    release(course, work)
    mine = work / "notebooks" / "03.ipynb"
    mine.write_text(mine.read_text().replace("YOUR CODE HERE", "mine"))
    write(course, "y = 1")
    change = release(course, work)[0]
    assert str(change) == "notebooks/03.ipynb is yours and stays; the new version is notebooks/03.new.ipynb"
    assert "# mine" in cells(work)[1].source
    assert cells(work, "03.new.ipynb")[1].source == "y = 1"


def test_a_students_file_is_left_in_peace_when_the_course_is_as_it_was(course, tmp_path):
    work = tmp_path / "work"
    release(course, work)
    mine = work / "notebooks" / "03.ipynb"
    mine.write_text(mine.read_text().replace("YOUR CODE HERE", "mine"))
    assert str(release(course, work)[0]) == "notebooks/03.ipynb is yours and stays"
    assert not (work / "notebooks" / "03.new.ipynb").exists()


def test_a_file_that_was_there_before_the_first_release_is_the_students(course, tmp_path):
    work = tmp_path / "work"
    (work / "notebooks").mkdir(parents=True)
    (work / "notebooks" / "03.ipynb").write_text("mine")
    release(course, work)
    assert (work / "notebooks" / "03.ipynb").read_text() == "mine"


def test_a_broken_ledger_loses_nothing(course, tmp_path):
    work = tmp_path / "work"
    release(course, work)
    (work / "notebooks" / "03.ipynb").write_text("mine")
    (work / ".labkit-release.json").write_text("{")
    release(course, work)
    assert (work / "notebooks" / "03.ipynb").read_text() == "mine"


def test_the_ledger_names_every_released_file(course, tmp_path):
    release(course, tmp_path / "work")
    ledger = json.loads((tmp_path / "work" / ".labkit-release.json").read_text())
    assert sorted(ledger) == ["manifests/03/web.yaml", "notebooks/03.ipynb"]


SERVER = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
print("up", flush=True)
time.sleep(60)
"""
SERVED = """
import os, sys
from labkit.jupyter import until_stopped
until_stopped([sys.executable, "-c", *sys.argv[1:]], dict(os.environ))
"""


def test_who_ends_labkit_lab_ends_its_server_too(tmp_path):
    told = tmp_path / "pid"
    command = [sys.executable, "-c", SERVED, SERVER, str(told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        process.terminate()
        process.wait(20)
    assert not Path(f"/proc/{told.read_text()}").exists()
