"""What was handed in: found wherever it lies, and nothing in it stops the batch."""

import json
import zipfile

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit import notebook as notebooks
from labkit.errors import LabError
from labkit.grading import cells, handins, results
from labkit.rubric import Exercise, Item, Rubric

RUBRIC = Rubric("03", {"03.1": Exercise("03.1", "Labels", (Item("one", "spec", "exists", points=2),))})


def notebook(*sources):
    cells = [new_code_cell(source, id=name) for name, source in sources]
    return json.dumps({**new_notebook(), "cells": cells})  # nbformat would mend two equal ids


def zipped(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


def students(found):
    return [hand_in.student for hand_in in found]


def test_a_folder_a_student_and_loose_notebooks_are_found(tmp_path):
    (tmp_path / "ana").mkdir()
    (tmp_path / "ana" / "renamed.ipynb").write_text(notebook(("a", "1")))
    (tmp_path / "bea.ipynb").write_text(notebook(("a", "1")))
    assert students(handins.find(tmp_path)) == ["ana", "bea"]


def test_a_zip_holds_a_folder_a_student(tmp_path):
    found = handins.find(zipped(tmp_path / "all.zip", **{"ana/x.ipynb": notebook(), "bea/y.ipynb": notebook()}))
    assert students(found) == ["ana", "bea"]


def test_a_name_that_leads_out_of_the_zip_is_left_out_and_said(tmp_path):
    (found,) = handins.find(zipped(tmp_path / "all.zip", **{"ana/../../evil.ipynb": notebook()}))
    assert found.notebook is None
    assert "leads out of the zip" in found.flags[0]


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "ana").mkdir()
    (tmp_path / "ana" / "x.ipynb").symlink_to("/etc/passwd")
    (found,) = handins.find(tmp_path)
    assert found.notebook is None
    assert "is a link" in found.flags[0]


def test_no_hand_ins_is_an_error(tmp_path):
    with pytest.raises(LabError, match="no hand-ins"):
        handins.find(tmp_path)


def test_the_last_of_two_equal_cells_counts(tmp_path):
    (tmp_path / "ana.ipynb").write_text(notebook(("a", "first"), ("b", "other"), ("a", "last")))
    (found,) = handins.find(tmp_path)
    nb, flags = handins.parse(found, new_notebook())
    assert [cell.source for cell in nb.cells] == ["other", "last"]
    assert "stand there twice" in flags[0]


@pytest.mark.parametrize("content", ["", "{broken", "[]", '{"cells": 7}', "\x00"])
def test_what_is_no_notebook_says_so(tmp_path, content):
    (tmp_path / "ana.ipynb").write_text(content)
    (found,) = handins.find(tmp_path)
    with pytest.raises(LabError, match="is not a notebook"):
        handins.parse(found, new_notebook())


SOLVED = "!kubectl label pod a b=c"
NBGRADER = {"nbgrader": {"grade_id": "x", "solution": True}}
LESSON = new_notebook(cells=[
    new_code_cell('cluster = "glassbox"\nnamespace = ""', id="p", metadata={"tags": ["parameters"]}),
    new_code_cell("...", id="x", metadata=NBGRADER),
    new_code_cell('lab.check("03.1")', id="c"),
])  # fmt: skip


def handed_in(tmp_path, *cells):
    """Parse a hand-in of plain dicts, as editors leave them; return the notebook and its flags."""
    (tmp_path / "ana.ipynb").write_text(json.dumps({"cells": list(cells)}))
    (found,) = handins.find(tmp_path)
    return handins.parse(found, LESSON)


def cell(source, **more):
    return {"cell_type": "code", "source": source} | more


@pytest.mark.parametrize(
    "solved",
    [
        cell(SOLVED, id="other", metadata=NBGRADER),
        cell(SOLVED, id="other", metadata={"tags": ["exercise:x"]}),
        cell(SOLVED, id="x"),
        cell(SOLVED),
        cell([SOLVED[:5], SOLVED[5:]], metadata={}),
    ],
    ids=["nbgrader's id", "a tag", "the cell's id", "the check after it", "a source in lines"],
)
def test_an_exercise_is_found_by_what_an_editor_has_left(tmp_path, solved):
    nb, flags = handed_in(tmp_path, cell("a = 1"), solved, cell('lab.check("03.1")'))
    assert cells.work(nb, LESSON) == {"x": SOLVED}
    assert flags == []


def test_an_exercise_that_is_not_there_is_flagged(tmp_path):
    _, flags = handed_in(tmp_path, cell("a = 1"))
    assert flags == ["cells of exercises not found: x"]


def test_parameters_without_their_tag_are_found_by_what_they_assign(tmp_path):
    nb, _ = handed_in(tmp_path, cell('cluster = "other"\nnamespace = ""\n'), cell(SOLVED, id="x"))
    assert notebooks.tagged(nb, "parameters") == [nb.cells[0]]


def test_a_second_check_is_flagged(tmp_path):
    _, flags = handed_in(tmp_path, cell(SOLVED, id="x"), cell('lab.check("03.1")'), cell('lab.check("03.1", answer=2)'))
    assert flags == ["checked in more than one cell, the last answer counts: 03.1"]


def result(points, student="ana", **more):
    item = {"name": "one", "points": points, "of": 2, "state": "right"}
    return {"student": student, "exercises": [{"number": "03.1", "items": [item]}], **more}


def test_an_item_that_could_not_be_checked_is_no_zero():
    assert results.table(RUBRIC, [result(None)]).splitlines()[1] == "ana,,2,,to be marked by hand"


def test_a_fault_of_the_grader_is_no_zero():
    row = results.table(RUBRIC, [{"student": "ana", "exercises": [], "trouble": "no cluster"}]).splitlines()[1]
    assert row == "ana,,2,,could not be graded"


def test_points_are_summed():
    assert results.table(RUBRIC, [result(2.0)]).splitlines()[1] == "ana,2,2,2,"
