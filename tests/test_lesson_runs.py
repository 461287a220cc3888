"""A whole lesson under a class's conditions: two students at once on one cluster; again after it broke off."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from labkit import differences, kernel, notebook
from labkit import run as runs
from tests.lessons import NOTEBOOKS, ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
LESSON = NOTEBOOKS[[path.stem[:2] for path in NOTEBOOKS].index("03")]


@pytest.fixture
def embedded(cluster, monkeypatch):
    """The session's cluster, named as a student names it, so that the lesson may do all that it can there."""
    monkeypatch.setenv("LABKIT_HOME", str(cluster.home))
    return f"glassbox:{cluster.name}"


def jobs(path, embedded, folder, **parameters):
    return runs.plan([path], where={embedded: embedded}, parameters=parameters, out=folder, keep="broken" in path.stem)


def run_all(planned, parallel=1):
    with kernel.prepared() as environment:
        for job in planned:
            runs.make_folder(Path(job.out).parent)
        results = list(runs.run_all(planned, environment, parallel=parallel))
    return [result.failure for result in results], [notebook.read(Path(j.out)) for j in planned]


def said(nb, namespace="lab-03"):
    """What each cell said, as if its namespace had the plain name."""
    cells = [c for c in nb.cells if c.cell_type == "code" and "injected-parameters" not in notebook.tags(c)]
    return {c.id: differences.text_of(c).replace(namespace, "lab-03") for c in cells}


def test_two_students_at_once_on_one_cluster_do_not_meet(embedded, tmp_path):
    students = ("ana", "luis")
    planned = [job for name in students for job in jobs(LESSON, embedded, tmp_path / name, student=name)]
    failures, executed = run_all(planned, parallel=2)
    assert set(failures) == {""}
    stored = said(notebook.read(LESSON))
    assert [said(nb, f"lab-03-{name}") for nb, name in zip(executed, students, strict=True)] == [stored, stored]


def test_a_lesson_that_broke_off_in_the_middle_runs_again_as_if_nothing_had_been(embedded, tmp_path):
    broken = notebook.read(LESSON)
    broken.cells.insert(len(broken.cells) // 2, new_code_cell("import os; os._exit(1)"))
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    path = tmp_path / "notebooks" / "broken_off.ipynb"
    path.parent.mkdir()
    nbformat.write(broken, path)
    failures, _ = run_all(jobs(path, embedded, tmp_path / "broken"))
    assert failures == ["the kernel died"]
    failures, executed = run_all(jobs(LESSON, embedded, tmp_path / "again"))
    assert set(failures) == {""}
    assert said(executed[0]) == said(notebook.read(LESSON))
