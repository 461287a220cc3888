"""What was handed in: found wherever it lies, and nothing in it stops the batch."""

import json
import zipfile

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.errors import LabError
from labkit.grading import handins, results
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
