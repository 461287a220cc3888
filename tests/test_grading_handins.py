"""What was handed in: found wherever it lies, and nothing in it stops the batch."""

import json
import os
import warnings
import zipfile

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit import notebook as notebooks
from labkit.errors import LabError
from labkit.grading import batch, cells, handins, results, shown
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


def entries(path, *pairs):
    """Write a zip of names and contents; a name may come twice."""
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pairs:
            archive.writestr(name, content)
    return path


def hand_ins(place):
    return {hand_in.student: hand_in for hand_in in handins.find(place)}


class TestZipOfAClass:
    def test_two_whose_names_begin_alike_are_two(self, tmp_path):
        found = hand_ins(entries(tmp_path / "all.zip", ("maria_lopez.ipynb", "1"), ("maria_garcia.ipynb", "2")))
        assert {name: h.notebook.content for name, h in found.items()} == {"maria_lopez": b"1", "maria_garcia": b"2"}

    def test_an_lms_numbers_its_students_and_their_files(self, tmp_path):
        names = ["perezana_17_4_08.ipynb", "perezana_LATE_17_5_store.yaml", "perezana_23_9_08.ipynb", "bea_08.ipynb"]
        found = hand_ins(entries(tmp_path / "all.zip", *((name, name) for name in names)))
        assert list(found) == ["bea", "perezana", "perezana-2"]
        assert "another hand-in is named perezana" in " ".join(found["perezana-2"].flags)

    def test_a_zip_in_it_is_a_students(self, tmp_path):
        mine = entries(tmp_path / "mine", ("08.ipynb", "{}"), ("manifests/a.yaml", "a: 1")).read_bytes()
        found = hand_ins(entries(tmp_path / "all.zip", ("Ana Pérez_1_file/hand-in.zip", mine), ("bea.zip", mine)))
        assert list(found) == ["Ana-Pérez_1_file", "bea"]
        assert {h.digest for h in found.values()} == {handins.packed(tmp_path / "mine").digest}

    @pytest.mark.parametrize("damaged", ["a wrong byte", "a password"])
    def test_an_entry_that_cannot_be_unpacked_costs_nobody_else(self, tmp_path, damaged):
        text = json.dumps(list(range(1000)))
        path = entries(tmp_path / "all.zip", ("ana.ipynb", text), ("bea.ipynb", "{}"))
        content = bytearray(path.read_bytes())
        if damaged == "a password":
            content[content.index(b"PK\x01\x02") + 8] |= 1
        else:
            content[60:90] = bytes(30)
        path.write_bytes(content)
        found = hand_ins(path)
        assert found["ana"].notebook is None
        assert "cannot be unpacked" in found["ana"].flags[0]
        assert found["bea"].notebook.content == b"{}"

    def test_one_student_cannot_fill_the_memory(self, tmp_path):
        much = bytes(handins.MOST_BYTES)
        files = [(f"ana/{number}.yaml", much) for number in range(5)]
        found = hand_ins(entries(tmp_path / "all.zip", *files, ("bea/x.ipynb", "{}")))
        assert len(found["ana"].beside) == 2
        assert "too large, unpacked" in found["ana"].flags[0]
        assert found["bea"].notebook is not None

    def test_too_many_files_are_too_many_words_for_nobody(self, tmp_path):
        files = [(f"{number}.yaml", "") for number in range(300)] + [(f"../{n}.yaml", "") for n in range(50)]
        (found,) = handins.find(entries(tmp_path / "ana.zip", *(("ana/" + name, text) for name, text in files)))
        assert len(found.beside) == handins.MOST_FILES
        assert len(found.flags) < 2 * handins.MOST_FLAGS

    def test_the_newest_is_told_by_the_second_and_checkpoints_are_none(self, tmp_path):
        path = tmp_path / "ana.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, second in (("b.ipynb", 10), ("a.ipynb", 30), (".ipynb_checkpoints/c.ipynb", 50)):
                archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 12, 0, second)), name)
        (tmp_path / "in").mkdir()
        path.rename(tmp_path / "in" / "ana.zip")
        (found,) = handins.find(tmp_path / "in")
        assert found.notebook.path == "a.ipynb"


class TestNames:
    def test_two_students_whose_files_would_have_one_name_are_two(self, tmp_path):
        for name in ("Ana Pérez.ipynb", "Ana-Pérez.ipynb"):
            (tmp_path / name).write_text(name)
        found = hand_ins(tmp_path)
        assert [h.notebook.path for h in found.values()] == ["Ana Pérez.ipynb", "Ana-Pérez.ipynb"]
        assert list(found) == ["Ana-Pérez", "Ana-Pérez-2"]

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            (["ana", "Ana"], "nearly the name of another hand-in: "),
            (["ana", "аna"], "the name mixes alphabets: CYRILLIC, LATIN"),
            (["Mª José"], ""),
            (["student-1", "student-2"], ""),
        ],
        ids=["case", "a letter of another alphabet", "an ordinal", "numbers"],
    )
    def test_a_name_that_passes_for_anothers_is_flagged(self, tmp_path, names, said):
        for name in names:
            (tmp_path / f"{name}.ipynb").write_text("{}")
        flags = [flag for hand_in in handins.find(tmp_path) for flag in hand_in.flags]
        assert any(said in flag for flag in flags) if said else flags == []

    def test_a_name_in_pieces_is_the_name_in_whole(self):
        assert handins.plain("An\u0303a") == "Aña"

    def test_no_name_is_too_long_for_a_file(self):
        assert len(handins.plain("ñ" * 300).encode()) <= handins.LONGEST_NAME

    def test_bytes_that_are_no_text_are_a_name_all_the_same(self, tmp_path):
        (tmp_path / "ana").mkdir()
        (tmp_path / "ana" / os.fsdecode(b"\xff.ipynb")).write_text("{}")
        (found,) = handins.find(tmp_path)
        assert len(found.digest) == 64


def test_suffixes_in_capitals_are_suffixes(tmp_path):
    (tmp_path / "ANA.IPYNB").write_text("{}")
    entries(tmp_path / "BEA.ZIP", ("X.IPYNB", "{}"))
    assert [h.notebook is not None for h in handins.find(tmp_path)] == [True, True]


def test_what_is_packed_otherwise_is_a_hand_in_that_says_so(tmp_path):
    (tmp_path / "ana.rar").write_bytes(b"Rar!")
    (found,) = handins.find(tmp_path)
    assert found.flags[0] == "ana.rar is no zip and no notebook: not read"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "ana.ipynb")
    (found,) = handins.find(tmp_path)
    assert found.flags[0] == "ana.ipynb is no plain file: not read"


def test_one_notebook_is_a_class_of_one(tmp_path):
    (tmp_path / "ana.ipynb").write_text("{}")
    assert students(handins.find(tmp_path / "ana.ipynb")) == ["ana"]


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


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": None}, {"metadata": {"tags": 5, "nbgrader": "x", "papermill": "y"}}, {"outputs": None},
        {"outputs": [1, {}, {"output_type": "stream"}, {"output_type": "stream", "name": "stdout", "text": 5}]},
        {"outputs": [{"output_type": "display_data", "data": {"text/plain": 7}}, {"output_type": "x"}]},
        {"outputs": [{"output_type": "stream", "name": "stdout", "text": ["half of it: \ud83d"]}]}, {"id": None},
    ],
)  # fmt: skip
def test_what_an_editor_never_wrote_costs_nothing(tmp_path, odd):
    nb, _ = handed_in(tmp_path, cell("a = '\ud800'"), cell(SOLVED, metadata=NBGRADER), cell("b") | odd)
    assert cells.work(nb, LESSON) == {"x": SOLVED}
    shown.recorded(nb)
    batch.runnable(nb).encode("latin-1")


def test_only_what_tells_a_cell_is_run_with_it(tmp_path):
    whole = {"cells": [cell("1", metadata={"tags": ["a"], "papermill": {}})], "metadata": {"papermill": "x"}}
    (tmp_path / "ana.ipynb").write_text(json.dumps(whole))
    (found,) = handins.find(tmp_path)
    nb, _ = handins.parse(found, LESSON)
    batch.runnable(nb)
    assert (list(nb.metadata), nb.cells[0].metadata) == (["kernelspec"], {"tags": ["a"]})


def test_line_ends_of_windows_are_line_ends(tmp_path):
    nb, _ = handed_in(tmp_path, cell("!kubectl get pods \\\r\n  -o wide\r\n"))
    assert nb.cells[0].source == "!kubectl get pods \\\n  -o wide\n"


def test_both_halves_of_a_cell_that_was_split_count(tmp_path):
    halves = [cell(source, id=source, metadata=NBGRADER) for source in ("one", "two")]
    nb, flags = handed_in(tmp_path, cell("a", id="a"), *halves, cell("b", id="b"))
    assert cells.work(nb, LESSON) == {"x": "one\ntwo"}
    assert flags == []


def test_what_takes_the_work_away_is_left_out_and_nothing_else(tmp_path):
    nb, _ = handed_in(tmp_path, cell("lab = Lab()\nif True:\n    lab.cleanup()\nmine()"))
    batch.runnable(nb)
    assert [line.split("  #")[0] for line in nb.cells[0].source.splitlines()] == [
        "lab = Lab()", "if True:", "    pass", "mine()"]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "namespace"),
    [
        ('student = "Ana Pérez"', "lab-08-ana-perez"), ('namespace = "mine"', "mine"), ("", "lab-08"),
        ('namespace = "kube-system"', "lab-08"), ('namespace = "A B"', "lab-08"), ("student = (", "lab-08"),
    ],
)  # fmt: skip
def test_the_namespace_is_what_it_was_on_the_students_cluster(given, namespace):
    nb = new_notebook(cells=[new_code_cell(given, metadata={"tags": ["parameters"]})])
    assert batch.own_namespace(nb, "08") == namespace


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
