"""What a hand-in shows beside what its run shows; answers that are alike; a cell that shows too much."""

import json
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from labkit.grading import pages, shown, similar

VERDICT = "✓ 03.1 The backup's pods: right · visible checks pass\n  ✓ exactly the right pods"


def cell(source, text="", name="a", ran=True):
    outputs = [new_output("stream", text=text)] if text else []
    return new_code_cell(source, id=name, outputs=outputs, metadata={"papermill": {"duration": 1.0 if ran else None}})


def notebook(*cells):
    return new_notebook(cells=list(cells))


def differing(before, after):
    return shown.differing(shown.recorded(notebook(before)), notebook(after))


class TestOutputs:
    def test_a_line_that_the_run_has_not_is_told(self):
        (found,) = differing(cell("!kubectl get pods", "web\nforged\n"), cell("!kubectl get pods", "web\n"))
        assert (found["shown"], found["again"]) == (["forged"], "web")

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("pod/web-5c9f6d7b8c-x2k4p  1/1", "pod/web-7d8f9b6c5d-q9w8r 1/1"),
            ("configured in lab-03-ana namespace", "configured in lab-03 namespace"),
            ("• waiting until pod/web is Ready\nyes", "yes"),
            ("b\na\n", "a\nb\nc\n"),
        ],
        ids=["a generated name", "the namespace", "the kit's own words", "another order, and more"],
    )
    def test_what_runs_may_differ_in_is_not(self, before, after):
        assert differing(cell("!x", before), cell("!x", after)) == []

    def test_a_cell_that_did_not_run_is_not_compared(self):
        assert differing(cell("!x", "web"), cell("!x", ran=False)) == []

    def test_a_verdict_that_was_forged_is_told_and_one_that_could_not_be_checked_is_not(self):
        claimed = shown.claims(notebook(cell('lab.check("03.1")', VERDICT), cell("x", "✓ 03.2 Other: wrong", "b")))
        assert claimed == ["03.1"]
        (told,) = shown.unfounded(claimed, [{"number": "03.1", "state": "not tried"}])
        assert told == "the notebook shows 03.1 as right; judged, it is: not tried"
        assert shown.unfounded(claimed, [{"number": "03.1", "state": "could not check"}]) == []

    def test_predictions_are_read_from_the_run(self):
        ran = notebook(cell("x", "✎ 03.a you expect: two pods\n"), cell("x", "✎ 03.a you expect: three\n", "b"))
        assert shown.predictions(ran, ["03.a", "03.b"]) == {"03.a": "three"}

    def test_a_prediction_of_a_number_that_the_lesson_has_not_is_none(self):
        assert shown.predictions(notebook(cell("x", "✎ 03.zz you expect: a page full of me\n")), ["03.a"]) == {}

    def test_a_run_that_left_nothing_to_read_is_none(self, tmp_path):
        (tmp_path / "executed").write_text("{")
        assert shown.executed(tmp_path / "executed") is None
        assert shown.executed(tmp_path / "nowhere") is None


LONG = "for each in ['cart', 'db']:\n    print(label(each, 'backup=tonight', overwrite=True))"


def wrote(**answers):
    return [{"student": student, "work": {"x": text}} for student, text in sorted(answers.items())]


class TestSimilar:
    def test_comments_case_and_spacing_hide_nothing(self):
        other = LONG.replace("each", "EACH").replace(":\n", ":  # my own idea\n\n")
        (pair,) = similar.pairs(wrote(ana=LONG, bea=other, carl="import os\n" + "os.sched_yield()\n" * 5), {})
        assert (pair["students"], pair["cell"], pair["alike"]) == (["ana", "bea"], "x", 100)

    @pytest.mark.parametrize(
        ("results", "model"),
        [
            (wrote(ana="!kubectl get pods", bea="!kubectl get pods"), {}),
            (wrote(ana=LONG, bea=LONG), {"x": LONG}),
            (wrote(ana=LONG, bea=LONG, carl=LONG, dora=LONG), {}),
        ],
        ids=["too short to tell", "the model's answer", "everybody's answer"],
    )
    def test_what_says_nothing_of_who_wrote_it_is_left_out(self, results, model):
        assert similar.pairs(results, model) == []

    def test_what_all_were_given_is_nobodys(self):
        given = similar.lines_given(["# 1. Label the pods.\nimport yaml"])
        assert similar.own("import yaml\n  # 1. Label the pods.\nmine()", given) == "mine()"


def test_a_cell_that_shows_too_much_is_cut_and_the_rest_runs(tmp_path):
    sources = ["for i in range(20000): print('x' * 100)", "print('after')"]
    nbformat.write(notebook(*(cell(s, name=f"c{i}") for i, s in enumerate(sources))), tmp_path / "in.ipynb")
    job = {"notebook": str(tmp_path / "in.ipynb"), "out": str(tmp_path / "out.ipynb"), "keep": True, "go_on": True,
           "parameters": {}, "cell_seconds": 60, "run_seconds": 90, "output_bytes": 100_000}  # fmt: skip
    (tmp_path / "job.json").write_text(json.dumps(job))
    run = subprocess.run([sys.executable, "-m", "labkit.run_one", str(tmp_path / "job.json")], capture_output=True)
    assert run.returncode == 0, run.stderr
    first, second = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    text = "".join(o["text"] for o in first.outputs)
    assert "cut here: a cell may show 97 KiB" in text
    assert len(text) < 200_000
    assert second.outputs[0]["text"] == "after\n"


@pytest.mark.parametrize(
    ("values", "high", "most", "counts"),
    [
        ([0, 1, 9, 10, 10], 10, 10, [1, 1, 0, 0, 0, 0, 0, 0, 0, 3]),
        ([0.5, 2], 2, 10, [1, 1]),
        ([7], 0, 4, [1]),
        ([], 5, 4, []),
    ],
)
def test_a_histogram_counts_every_value_once(values, high, most, counts):
    assert [count for _, count in pages.steps(values, 0.0, high, most, "{} {}")] == counts


def test_a_line_without_an_end_costs_no_more_than_its_beginning():
    begun = time.process_time()
    cell = new_code_cell("1", outputs=[new_output("stream", text="x" * (1 << 24))])
    assert [len(line) for line in shown.lines_of(cell)] == [shown.MOST_LINE]
    assert time.process_time() - begun < 5


def test_commands_that_failed_are_told_once_each():
    lines = ["deployment.apps/web created", 'Error from server (NotFound): services "x" not found',
             'The Service "web" is invalid: spec.ports: Required value', "/bin/sh: 1: helm: not found",
             'error: the path "x.yaml" does not exist', 'error: the path "x.yaml" does not exist',
             "errors: 0"]  # fmt: skip
    (told,) = shown.refused(notebook(cell("!kubectl …", "\n".join(lines)), cell("fine", "pod/web created")))
    assert told == {"source": "!kubectl …", "said": lines[1:5]}


def test_many_cells_without_end_cost_seconds():
    begun = time.process_time()
    cells = [cell("1", f"{n} " * (1 << 15), name=f"c{n}") for n in range(100, 600)]
    assert len(shown.recorded(notebook(*cells))) <= shown.MOST_SHOWN // shown.MOST_COMPARED
    assert time.process_time() - begun < 30
