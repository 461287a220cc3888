"""nbgrader takes the course's notebooks: assignment out, hand-ins in, points and feedback back."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import nbgrader as nbgrader_package
import pytest
from nbgrader.api import Gradebook

from labkit import kernel, nbgrader, notebook
from labkit.release import release
from labkit.verdict import Finding, State, Verdict
from tests.e2e import handed
from tests.lessons import NOTEBOOKS, ROOT

LESSON = "03_labels"
BIN = Path(nbgrader_package.__file__).parents[4] / "bin"  # it calls alembic by its name


def verdict(state, *findings):
    return Verdict("03.1", "quarantine", state, findings)


def finding(state, points):
    return Finding("item", state, points=points)


@pytest.mark.parametrize(
    ("given", "points"),
    [
        (verdict(State.RIGHT, finding(State.RIGHT, 2), finding(State.RIGHT, 1)), 3.0),
        (verdict(State.WRONG, finding(State.RIGHT, 2), finding(State.WRONG, 1)), 2.0),
        (verdict(State.NOT_TRIED, finding(State.NOT_TRIED, 2), finding(State.RIGHT, 1)), 0.0),
        (verdict(State.UNCHECKED, finding(State.UNCHECKED, 2), finding(State.WRONG, 1)), 2.0),
    ],
    ids=["right", "partly", "a guard alone", "could not check"],
)
def test_a_verdict_is_worth_what_holds_and_what_could_not_be_looked_at(given, points):
    assert nbgrader.points_of(given) == points


def test_what_still_converges_is_waited_for_and_the_last_verdict_printed(capsys, monkeypatch):
    monkeypatch.setattr(nbgrader, "LOOK_SECONDS", 0.0)
    seen = iter(
        [verdict(State.CONVERGING, finding(State.CONVERGING, 2)), verdict(State.RIGHT, finding(State.RIGHT, 2))]
    )
    assert nbgrader.grade(lambda: next(seen)) == 2.0
    assert capsys.readouterr().out.count("03.1") == 1


def test_an_nbgrader_course_has_a_folder_a_lesson_with_its_markers_and_manifests(tmp_path):
    release(ROOT, tmp_path, nbgrader=True)
    for path in NOTEBOOKS:
        source = (tmp_path / "source" / path.stem / path.name).read_text()
        assert "### BEGIN SOLUTION" in source
        assert "../manifests" not in source
    assert (tmp_path / "source" / LESSON / "manifests" / LESSON / "web.yaml").exists()
    assert list((tmp_path / "source").rglob("solution*")) == []


class Course:
    """An nbgrader course of the first exercise of lesson 03, on the session's cluster."""

    def __init__(self, root, cluster, environment):
        self.root, self.environment = root, environment
        (root / "src").mkdir()
        shutil.copytree(ROOT / "manifests" / LESSON, root / "src" / "manifests" / LESSON)
        (root / "src" / "notebooks").mkdir()
        nbformat.write(shortened(cluster), root / "src" / "notebooks" / f"{LESSON}.ipynb")
        release(root / "src", root, nbgrader=True)

    def nbgrader(self, command, *arguments):
        done = subprocess.run([sys.executable, "-m", "nbgrader", command, *arguments], cwd=self.root,
                              env=self.environment, capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]

    def hand_in(self, student, work):
        folder = self.root / "submitted" / student / LESSON
        shutil.copytree(self.root / "release" / LESSON, folder)
        path = folder / f"{LESSON}.ipynb"
        nb = notebook.read(path)
        work(nb)
        nbformat.write(nb, path)

    def scores(self):
        with Gradebook(f"sqlite:///{self.root}/gradebook.db") as book:
            return {each.student.id: each.score for each in book.assignment_submissions(LESSON)}


def shortened(cluster):
    """Lesson 03 down to its first check, and the cleanup."""
    nb = notebook.read(ROOT / "notebooks" / f"{LESSON}.ipynb")
    first = next(i for i, c in enumerate(nb.cells) if "lab.check(" in c.source)
    nb.cells = [*nb.cells[: first + 1], nb.cells[-1]]
    (parameters,) = notebook.tagged(nb, "parameters")
    parameters.source = parameters.source.replace('"glassbox"', repr(str(cluster.kubeconfig)))
    return nb


def labelled(source):
    """Do the first exercise so."""

    def work(nb):
        (cell,) = [c for c in nb.cells if c.id == solution().id]
        assert "YOUR CODE HERE" in cell.source
        cell.source = source

    return work


def solution():
    nb = notebook.read(ROOT / "notebooks" / f"{LESSON}.ipynb")
    return next(c for c in nb.cells if "### BEGIN SOLUTION" in c.source)


@pytest.mark.cluster
@pytest.mark.timeout(600)
def test_nbgrader_releases_grades_and_gives_feedback(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    with kernel.prepared() as environment:
        course = Course(tmp_path, cluster, environment)
        course.nbgrader("generate_assignment", LESSON)
        released = (tmp_path / "release" / LESSON / f"{LESSON}.ipynb").read_text()
        assert "BEGIN SOLUTION" not in released
        course.hand_in("ana", labelled(solution().source))
        course.hand_in("bea", labelled("!kubectl label pods -l tier!=frontend backup=tonight"))
        course.hand_in("luis", lambda nb: None)
        course.nbgrader("autograde", LESSON)
        course.nbgrader("generate_feedback", LESSON)
        assert course.scores() == {"ana": 3.0, "bea": 1.0, "luis": 0.0}
    page = (tmp_path / "feedback" / "luis" / LESSON / f"{LESSON}.html").read_text()
    assert "not tried" in page
    # the same hand-ins, graded by the kit: of its sandbox's cluster, and judged from outside
    handed.grade(tmp_path / "submitted", tmp_path / "grades", "03")
    firsts = {name: handed.result(tmp_path / "grades", name)["exercises"][0] for name in course.scores()}
    assert {name: sum(i["points"] for i in first["items"]) for name, first in firsts.items()} == course.scores()
