"""Stored outputs: the rules that make runs alike, and nbval itself on small notebooks and on the course's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from labkit import nbval_plugin, normalise, regen

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"

PICTURE = """
from labkit.draw.matrix import Row, matrix
matrix([Row("web", {"app": "web"})], title="pods × labels")
"""
GRAPH = """
from labkit.draw import boxes, graph
boxes.draw(graph.Graph((graph.Node("1", "Pod", "pet", "Running"),)), "who owns whom")
"""
WIDGET = """
import ipywidgets
from labkit.widgets.shown import Shown
shown = Shown()
shown.box, shown.line = ipywidgets.HTML("a view"), "a view of lab-02"
shown
"""
GRAPH_TWIN = "who owns whom (1 object)\n  Pod pet · Running"
TWIN = "pods × labels (1 objects)\n       app\n       web\n  web  ●"


def nbval(path, environment=None):
    plugins = [word for name in ("nbval.plugin", "pytest_timeout", "labkit.nbval_plugin") for word in ("-p", name)]
    command = [sys.executable, "-m", "pytest", *plugins, "--nbval", str(path), "-q", "--timeout=600"]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the others' imports take longer than such a notebook
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", f"--rootdir={path if path.is_dir() else path.parent}"],
        capture_output=True, text=True, env={**os.environ, **alone, **(environment or {})}, timeout=900,
    )  # fmt: skip


def notebook_with(tmp_path, source, **data):
    output = new_output("execute_result", data, execution_count=1)
    path = tmp_path / "small.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source, outputs=[output], execution_count=1)]), path)
    return path


def test_a_picture_is_compared_by_its_twin_alone(tmp_path):
    path = notebook_with(tmp_path, PICTURE, **{"text/plain": TWIN, "image/svg+xml": "<svg>another</svg>"})
    done = nbval(path)
    assert done.returncode == 0, done.stdout


def test_a_widget_is_compared_by_its_line_alone(tmp_path):
    path = notebook_with(tmp_path, WIDGET, **{"text/plain": "a view of lab-02"})
    done = nbval(path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("source", "twin"),
    [(PICTURE, TWIN.replace("●", "·")), (GRAPH, GRAPH_TWIN + ", ready"), (WIDGET, "a view of lab-03")],
)
def test_a_changed_twin_fails(tmp_path, source, twin):
    path = notebook_with(tmp_path, source, **{"text/plain": twin, "image/svg+xml": "<svg/>"})
    done = nbval(path)
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout


@pytest.mark.parametrize(
    ("tag", "now", "left_out"),
    [
        ("needs:nodes>=2", "skipped: it takes two nodes", True),
        ("needs:nodes>=2", "one node", False),
        ("each:node", "node1\nnode2\nnode3", True),
        ("each:node", "node1\nnode3", False),
        ("", "skipped: it takes two nodes", False),
    ],
)
def test_a_step_that_depends_on_the_number_of_nodes_is_compared_where_it_can_be(tag, now, left_out):
    new, stored = ([new_output("stream", text=text)] for text in (now, "node1\nnode2\n"))
    assert nbval_plugin.of_other_nodes([tag], new, stored) is left_out


def test_nbval_leaves_out_what_was_skipped(tmp_path):
    path = tmp_path / "small.ipynb"
    cell = new_code_cell(
        "print('skipped: it takes two')", outputs=[new_output("stream", text="two")], execution_count=1
    )
    cell.metadata["tags"] = ["needs:nodes>=2"]
    nbformat.write(new_notebook(cells=[cell]), path)
    assert nbval(path).returncode == 0


def test_nbval_applies_the_rules_on_both_sides(tmp_path):
    path = notebook_with(tmp_path, "'uid 11111111-2222-3333-4444-555555555555'",
                         **{"text/plain": "'uid 99999999-8888-7777-6666-555555555555'"})  # fmt: skip
    assert nbval(path).returncode == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("web   1/1   Running   0          7s", "web   1/1   Running   0          12s"),
        ("web   1/1   Running   1 (3s ago)   2m5s", "web   1/1   Running   1 (40s ago)   58s"),
        ("web-6d4cf56db6-8b2xk", "web-7f9c8d5b44-zq6vn"),
        ("pod/web-8b2xk created", "pod/web-zq6vn created"),
        ("10.244.1.7    node1   <none>", "10.244.2.113   node1   <none>"),
        ("AGE   IP            NODE", "AGE   IP             NODE"),
        ("ROLES    AGE     VERSION", "ROLES    AGE   VERSION"),
        ('"resourceVersion": "812"', '"resourceVersion": "90210"'),
        ("creationTimestamp: 2026-11-24T10:00:00Z", "creationTimestamp: 2027-01-02T03:04:05Z"),
        ("Start Time:  Tue, 24 Nov 2026 10:00:00 +0000", "Start Time:  Mon, 04 Jan 2027 23:59:59 +0000"),
        ("https://127.0.0.1:40123", "https://127.0.0.1:6443"),
        ("pod-template-hash=6d4cf56db6", "pod-template-hash=7f9c8d5b44"),
        ("took 0.31 s", "took 12.9 s"),
        ("0/1 nodes are available: 1 Insufficient memory.", "0/3 nodes are available: 3 Insufficient memory."),
    ],
)
def test_what_differs_between_runs_becomes_alike(one, other):
    assert normalise.text(one) == normalise.text(other)


@pytest.mark.parametrize(
    "same",
    ["pod/shop-web created", "environment=production,tier=frontend", "web-https", "terminationGracePeriodSeconds: 30",
     "● shop-test  ·", "room=B-2.14", "registry.k8s.io/pause:3.10", "sleep 30s", "on-floppy", "lab-03-other"],
)  # fmt: skip
def test_what_a_lesson_says_is_left_alone(same):
    assert normalise.text(same) == same


def test_nbval_finds_a_stand_in_for_each_rule():
    text = normalise.RULES.read_text()
    assert len(re.findall(r"^regex: .+$", text, re.M)) == len(re.findall(r"^replace: .+$", text, re.M))


def test_a_void_run_and_a_longer_search_read_like_others():
    one = "✓ 3 runs\n∅ 1 of 3 void: the first for a hiccup of 101 ms\n✓ 3 runs\n  knee: ≈35 a second\n  ∅ void: late"
    assert normalise.text(one) == "✓ 3 runs\n  knee: ≈1 a second"


def test_a_second_pass_changes_nothing():
    text = "web-6d4cf56db6-8b2xk   1/1   Running   1 (3s ago)   2m5s   10.244.1.7   node1\n2026-11-24T10:00:00.123Z"
    assert normalise.text(normalise.text(text)) == normalise.text(text)


def test_pieces_of_a_stream_become_one_and_counts_follow_the_cells():
    pieces = [new_output("stream", name="stdout", text="a\n"), new_output("stream", name="stdout", text="b\n")]
    cell = new_code_cell("print()", outputs=pieces, execution_count=17)
    cell.metadata["papermill"] = {"duration": 1.5}
    nb = normalise.notebook(new_notebook(cells=[cell], metadata={"papermill": {}}))
    assert [o.text for o in nb.cells[0].outputs] == ["a\nb\n"]
    assert nb.cells[0].execution_count == 1
    assert "papermill" not in nb.cells[0].metadata
    assert "papermill" not in nb.metadata


@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.skipif(not NOTEBOOKS.is_dir(), reason="no notebooks in this checkout")
def test_the_courses_stored_outputs_are_those_of_a_new_cluster(tmp_path):
    environment = {"LABKIT_HOME": str(tmp_path / "state")}
    try:
        done = nbval(NOTEBOOKS, environment)
    finally:
        subprocess.run([sys.executable, "-m", "labkit", "down"], env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, done.stdout[-8000:]


def picture(width, text="web-5c9f6d7b8c-x2k4p", twin="one pod"):
    data = {"image/svg+xml": f"<svg width='{width}'>{text}</svg>", "text/plain": twin}
    return new_notebook(cells=[new_code_cell("draw()", outputs=[new_output("execute_result", data)])])


@pytest.mark.parametrize(
    ("new", "kept"),
    [
        (picture(462), True),
        (picture(462, text="another word"), False),
        (picture(462, twin="two pods"), False),
    ],
    ids=["figures", "words", "twin"],
)
def test_a_stored_picture_stays_when_nothing_but_figures_changed(new, kept):
    regen.keep_alike(picture(469), new)
    assert ("469" in new.cells[0].outputs[0].data["image/svg+xml"]) is kept


def test_a_measured_figure_is_stored_as_it_was_and_stays_until_something_else_changes(tmp_path):
    def said(text):
        path = tmp_path / f"{text}.ipynb"
        cell = new_code_cell("print()", outputs=[new_output("stream", name="stdout", text=text)], id="one")
        nbformat.write(new_notebook(cells=[cell]), path)
        return path

    stored = said("p99 ≈7 ms: web-8b2xk")
    regen.store(stored, said("p99 ≈9 ms: web-zq6vn"))
    assert nbformat.read(stored, 4).cells[0].outputs[0].text == "p99 ≈7 ms: web-x2k4p"
    regen.store(stored, said("p99 ≈9 ms: cat-zq6vn"))
    assert nbformat.read(stored, 4).cells[0].outputs[0].text == "p99 ≈9 ms: cat-x2k4p"
