"""Predictions: committed, recorded, never marked."""

import json
import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from labkit.draw import Draw
from labkit.predict import Predictions, load, of_class


def test_a_prediction_is_repeated_and_recorded(tmp_path, capsys):
    Predictions("03", "ana", tmp_path).commit("03.2", "two pods")
    assert capsys.readouterr().out == "✎ 03.2 you expect: two pods\n"
    (entry,) = load(tmp_path)
    assert (entry["lesson"], entry["exercise"], entry["student"], entry["answer"]) == ("03", "03.2", "ana", "two pods")


def test_a_second_thought_is_recorded_after_the_first(tmp_path):
    predictions = Predictions("03", "", tmp_path)
    predictions.commit("03.1", "two")
    predictions.commit("03.1", "three")
    assert [entry["answer"] for entry in load(tmp_path)] == ["two", "three"]


@pytest.mark.parametrize("nothing", [None, "", "…", "..."])
def test_an_empty_prediction_is_asked_for_and_not_recorded(tmp_path, capsys, nothing):
    Predictions("03", "", tmp_path).commit("03.1", nothing)
    assert "what do you expect?" in capsys.readouterr().out
    assert load(tmp_path) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_folder_without_write_access_does_not_stop_the_lesson(tmp_path, capsys):
    tmp_path.chmod(0o500)
    Predictions("03", "", tmp_path).commit("03.1", "two")
    assert "you expect: two" in capsys.readouterr().out


def test_a_folder_that_is_not_there_does_not_stop_the_lesson(tmp_path, capsys):
    Predictions("03", "", tmp_path / "file" / "none").commit("03.1", "two")
    assert "you expect: two" in capsys.readouterr().out


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path):
    (tmp_path / "predictions.jsonl").write_text(json.dumps({"answer": 1}) + '\n{"answer": ')
    assert load(tmp_path) == [{"answer": 1}]


def handed_in(folder, name, *answers):
    """A notebook whose outputs hold predictions, as lab.predict says them."""
    outputs = [new_output("stream", text=f"✎ 02.b you expect: {answer}\nNAME READY\n") for answer in answers]
    folder.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell("", outputs=outputs)]), folder / f"{name}.ipynb")


def test_a_classs_answers_are_the_last_ones_of_its_notebooks(tmp_path):
    handed_in(tmp_path / "ana", "02", "one", "another pod")
    handed_in(tmp_path / "ben", "02", "Another  pod.")
    handed_in(tmp_path / "eva", "02", "another pod")
    handed_in(tmp_path / "leo", "02")
    (tmp_path / "broken.ipynb").write_text("{")
    assert of_class(tmp_path, "02.b") == ["another pod"] * 3
    assert of_class(tmp_path, "02.a") == []


def test_a_classs_answers_are_drawn(tmp_path):
    for number, answer in enumerate(["yes", "no", "yes"]):
        handed_in(tmp_path, f"hand-in-{number}", answer)
    drawn = Draw(None, "").predictions("02.b", tmp_path)
    assert [line.split() for line in str(drawn).splitlines()[1:]] == [
        ["no", "████████████", "1", "of", "3", "answers"],
        ["yes", "████████████████████████", "2", "of", "3", "answers"],
    ]
