"""What counts as a difference between two runs of a lesson."""

import copy

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from labkit import differences
from labkit.report import marked


def ran(*outputs, id="03-a", tags=()):
    cell = new_code_cell("!kubectl get pods", outputs=list(outputs), id=id)
    cell.metadata.update(tags=list(tags), papermill={"duration": 0.25})
    return cell


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def found(left, right):
    return differences.find("03", {"left": new_notebook(cells=left), "right": new_notebook(cells=right)})


def test_what_was_said_stands_under_the_cluster_s_name():
    (difference,) = found([ran(stream("three\n"))], [ran(stream("two\n"))])
    assert (difference.cell, difference.said) == ("03-a", {"left": "three", "right": "two"})


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([stream("pod/web-6d4cf56db6-8b2xk created")], [stream("pod/web-7f9c8d5b44-zq6vn created")]),
        ([stream("a\n"), stream("b\n")], [stream("a\nb\n")]),
        ([stream("a\n"), stream("!\n", "stderr"), stream("b\n")], [stream("a\nb\n"), stream("!\n", "stderr")]),
        ([new_output("display_data", {"text/plain": "twin", "image/svg+xml": "<svg 1>"})],
         [new_output("display_data", {"text/plain": "twin", "image/svg+xml": "<svg 2>"})]),
    ],
    ids=["names that vary", "pieces of a stream", "two streams mixed", "a picture"],
)  # fmt: skip
def test_what_may_vary_is_no_difference(left, right):
    assert found([ran(*left)], [ran(*right)]) == []


@pytest.mark.parametrize("tag", ["needs:nodes>=2", "cluster-wide", "injected-parameters"])
def test_a_cell_that_may_be_skipped_is_left_out(tag):
    assert found([ran(stream("a"), tags=[tag])], [ran(stream("b"), tags=[tag])]) == []


def test_a_cell_that_did_not_run_on_one_side_is_left_out():
    silent = ran(stream("b"))
    del silent.metadata["papermill"]
    assert found([ran(stream("a"))], [silent]) == []


def test_comparing_changes_nothing():
    left, right = [ran(stream("a\n"), stream("b\n"))], [ran(stream("c\n"))]
    before = copy.deepcopy(left)
    assert found(left, right) == found(left, right)
    assert left == before


def test_the_page_marks_the_lines_that_differ():
    texts = {"one": "a\nb\nc", "two": "a\nx\nc"}
    assert marked(texts) == {"one": [(False, "a"), (True, "b"), (False, "c")],
                             "two": [(False, "a"), (True, "x"), (False, "c")]}  # fmt: skip
