"""Notebooks run by papermill: parameters, limits, cleanup, the page."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from labkit import notebook
from labkit.errors import LabError, ParameterError
from labkit.run import run

PARAMETERS = 'seed = 1\nname = "ana"\nsizes = [1]\nratio = 0.5\nverbose = False'


def write(folder, name, *cells):
    """Write a notebook of code cells, each its source and its tags."""
    made = []
    for source, *tags in cells:
        cell = new_code_cell(source)
        cell.metadata["tags"] = tags
        made.append(cell)
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell(f"# Lesson {name}"), *made]), path)
    return path


@pytest.fixture
def kubeconfig(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text("contexts: []\n")
    return str(path)


def run_one(path, kubeconfig, tmp_path, **options):
    out = tmp_path / "out"
    (result,) = run([path], cluster=kubeconfig, out=out, **options)
    return result, nbformat.read(out / path.name, as_version=4)


def outputs(nb):
    return ["".join(o.get("text") or o.get("evalue") or "" for o in c.get("outputs", [])).strip() for c in nb.cells]


def test_parameters_are_injected_and_the_page_links_the_lesson(tmp_path, kubeconfig):
    path = write(tmp_path, "01", (PARAMETERS, "parameters"), ("print(seed, name)",))
    result, nb = run_one(path, kubeconfig, tmp_path, parameters={"seed": "7"})
    assert result.passed
    assert "7 ana" in outputs(nb)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "01.html" in page
    assert "Lesson 01" in page
    assert (tmp_path / "out" / "01.html").stat().st_size > 10_000
    assert json.loads((tmp_path / "out" / "results.json").read_text())[0]["name"] == "01"


@pytest.mark.parametrize(
    ("given", "message"),
    [({"sead": 1}, "has no parameter sead"), ({"seed": "x"}, "parameter seed of 01.ipynb has the wrong type"),
     ({"verbose": "perhaps"}, "parameter verbose"), ({"seed": 1.5}, "parameter seed"),
     ({"seed": True}, "parameter seed"),
     ({"sizes": "7"}, "parameter sizes")],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_starts(tmp_path, kubeconfig, given, message):
    path = write(tmp_path, "01", (PARAMETERS, "parameters"))
    with pytest.raises(ParameterError, match=message):
        run([path], cluster=kubeconfig, out=tmp_path / "out", parameters=given)
    assert not (tmp_path / "out").exists()


def test_text_from_a_command_line_gets_the_declared_type(tmp_path):
    declared = notebook.parameters(notebook.read(write(tmp_path, "01", (PARAMETERS, "parameters"))))
    given = {"seed": "7", "sizes": "[1, 2]", "ratio": "2", "verbose": "true", "name": "7"}
    assert notebook.fit(given, declared, "") == {
        "seed": 7, "sizes": [1, 2], "ratio": 2.0, "verbose": True, "name": "7",
    }  # fmt: skip


def test_a_failed_cell_ends_the_run_after_its_cleanup_cells(tmp_path, kubeconfig):
    path = write(tmp_path, "01", ("1/0",), ("print('never')",), ("print('swept')", "cleanup"))
    result, nb = run_one(path, kubeconfig, tmp_path)
    assert (result.failure, result.cell) == ("ZeroDivisionError: division by zero", 1)
    assert outputs(nb)[2:] == ["", "swept"]


def test_keep_skips_the_cleanup(tmp_path, kubeconfig):
    path = write(tmp_path, "01", ("1/0",), ("print('swept')", "cleanup"))
    _, nb = run_one(path, kubeconfig, tmp_path, keep=True)
    assert outputs(nb)[-1] == ""


def test_a_cell_that_fails_on_purpose_fails_nothing(tmp_path, kubeconfig):
    path = write(tmp_path, "01", ("1/0", "raises-exception"), ("print('on')",))
    result, nb = run_one(path, kubeconfig, tmp_path)
    assert result.passed
    assert outputs(nb)[-1] == "on"


def test_an_endless_cell_costs_its_own_limit_and_is_cleaned_up_after(tmp_path, kubeconfig):
    path = write(tmp_path, "01", ("while True: pass",), ("print('swept')", "cleanup"))
    result, nb = run_one(path, kubeconfig, tmp_path, cell_seconds=2)
    assert result.failure == "no end after 2 s"
    assert outputs(nb)[-1] == "swept"


def test_the_limit_of_the_run_holds_over_that_of_the_cell(tmp_path, kubeconfig):
    path = write(tmp_path, "01", ("import time; time.sleep(60)",))
    result, _ = run_one(path, kubeconfig, tmp_path, cell_seconds=60, run_seconds=3)
    assert result.failure == "the run's time is over"


def test_a_dead_kernel_is_a_failure(tmp_path, kubeconfig):
    path = write(tmp_path, "01", ("import os; os._exit(1)",))
    result, _ = run_one(path, kubeconfig, tmp_path)
    assert result.failure == "the kernel died"


def test_a_failed_notebook_does_not_stop_the_others(tmp_path, kubeconfig):
    paths = [write(tmp_path, "01", ("1/0",)), write(tmp_path, "02", ("print(1)",))]
    results = run(paths, cluster=kubeconfig, out=tmp_path / "out")
    assert [r.passed for r in results] == [False, True]
    assert "1 failed" in (tmp_path / "out" / "index.html").read_text()


def test_the_kernel_is_this_interpreter_whatever_the_user_has_installed(tmp_path, kubeconfig, monkeypatch):
    import sys

    other = tmp_path / "home" / ".local/share/jupyter/kernels/python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text('{"argv": ["/bin/false"], "display_name": "x", "language": "python"}')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    _, nb = run_one(write(tmp_path, "01", ("import sys; print(sys.executable)",)), kubeconfig, tmp_path)
    assert outputs(nb)[-1] == sys.executable


def test_a_missing_notebook_is_named(tmp_path, kubeconfig):
    with pytest.raises(LabError, match=r"none\.ipynb"):
        run([tmp_path / "none.ipynb"], cluster=kubeconfig, out=tmp_path / "out")
