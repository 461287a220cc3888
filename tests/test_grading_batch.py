"""A batch and its workers: one hand-in's oddity, or a worker that is late, costs that hand-in alone."""

import json
import multiprocessing
import signal

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.grading import batch, crew, worker
from labkit.grading.handins import File, HandIn


class Nobody:
    """A crew that leaves no result."""

    ended = False

    def run(self, order, seconds):
        self.order = json.loads(json.dumps(order))  # as it is written to a file
        return "nothing done"


@pytest.fixture
def planned(tmp_path):
    return batch.prepare("03", tmp_path / "out")


def handed(*sources, student="ana", beside=(), **more):
    cells = [{**new_code_cell(source), **more} for source in sources]
    return HandIn(student, File("x.ipynb", json.dumps({**new_notebook(), "cells": cells}).encode()), tuple(beside))


def test_what_the_grader_cannot_read_is_no_zero_and_does_not_end_the_batch(planned, monkeypatch):
    monkeypatch.setattr(batch, "runnable", lambda nb: {}["an oddity that nobody thought of"])
    result = batch.one(planned, handed("1"), Nobody())
    assert result["trouble"].startswith("the grader cannot read it: KeyError")
    assert {item["points"] for e in result["exercises"] for item in e["items"] if item["of"]} == {None}
    assert json.loads((planned.out / "results" / "ana.json").read_text()) == result


def test_half_a_character_is_run_and_written(planned):
    nobody = Nobody()
    result = batch.one(planned, handed("print('\ud800')"), nobody)
    assert "print('?')" in nobody.order["files"]["notebooks/03_labels.ipynb"]
    assert "nothing done" in result["trouble"]


def test_an_answer_without_end_is_cut(planned):
    nobody = Nobody()
    batch.one(planned, handed("x = '" + "y" * 1_000_000 + "'", id="03-labels-2-solution"), nobody)
    assert [len(text) for text in nobody.order["facts"]["work"].values()] == [batch.MOST_WORK]


def test_on_a_shared_cluster_two_that_hand_in_the_same_have_a_namespace_each(tmp_path):
    planned = batch.prepare("03", tmp_path / "out", cluster="kind", owner={"clusters": []})
    assert planned.namespace(handed("1")) != planned.namespace(handed("1", student="bea"))


def test_a_file_that_cannot_be_written_is_left_out_and_said(planned, tmp_path):
    nobody = Nobody()
    beside = [File("manifests/03_labels/shop.yaml/x.yaml", b"a: 1"), File("manifests/mine.yaml", b"a: 1")]
    beside.insert(0, File("manifests/03_labels/shop.yaml", b"a: 1"))
    batch.one(planned, handed("1", beside=beside), nobody)
    worker.lay_out(nobody.order, tmp_path / "work", {})
    assert (tmp_path / "work" / "manifests" / "mine.yaml").read_text() == "a: 1"
    assert ["cannot be written" in flag for flag in nobody.order["facts"]["flags"][-1:]] == [True]


FORGED = {"cell_type": "code", "id": "a", "source": "x", "metadata": {"papermill": 5}, "outputs": 3}


@pytest.mark.parametrize("forged", ["{", {**new_notebook(), "cells": [FORGED]}, {**new_notebook(), "cells": [{}]}])
def test_a_forged_executed_notebook_costs_no_mark(tmp_path, forged):
    (tmp_path / "executed").write_text(forged if isinstance(forged, str) else json.dumps(forged))
    order = {"shown": {"": {"source": "x", "lines": ["y"]}}, "predicts": [], "facts": {"flags": []}}
    told = worker.told_by(order, tmp_path / "executed")
    assert told == {"differs": [], "predictions": {}, "refused": []}


@pytest.mark.timeout(60)
def test_a_worker_that_is_late_is_ended_at_once_and_takes_nobodys_turn(tmp_path, monkeypatch):
    idle = multiprocessing.get_context("fork").Process(target=signal.pause)
    monkeypatch.setattr(crew.warm, "process", lambda *_: idle)
    monkeypatch.setattr(crew, "UP_SECONDS", 0.1)
    here = crew.Here(jobs=1)
    with here._turns:  # another's
        assert here.run({"result": str(tmp_path / "results" / "ana.json")}, 60) == "no end after 0 s"
    assert idle.exitcode is not None
