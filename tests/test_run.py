"""Notebooks run by papermill: parameters, limits, cleanup; several at once, on several clusters, again."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from labkit import notebook, results
from labkit import run as runs
from labkit.errors import LabError, ParameterError
from labkit.worker import Job, Result
from tests.embedded import eventually

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
def kubeconfig(api_server):
    return str(api_server.kubeconfig)


def run(paths, *, cluster, out, parameters=None, limits=None, **options):
    """Plan and run on one cluster, named by its kubeconfig, or on several, given as names and kubeconfigs."""
    where = cluster if isinstance(cluster, dict) else {cluster: cluster}
    jobs = runs.plan(paths, where=where, parameters=parameters or {}, out=out, **(limits or {}))
    return runs.run(jobs, where=where, out=out, **options)


def run_one(path, kubeconfig, tmp_path, parameters=None, **limits):
    out = tmp_path / "out"
    (result,) = run([path], cluster=kubeconfig, out=out, parameters=parameters, limits=limits)
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
    assert json.loads((tmp_path / "out" / "results.json").read_text())["runs"][0]["name"] == "01"


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
    ended = run(paths, cluster=kubeconfig, out=tmp_path / "out")
    assert [r.passed for r in ended] == [False, True]
    assert "1 failed" in (tmp_path / "out" / "index.html").read_text()


def test_the_kernel_is_this_interpreter_whatever_the_user_has_installed(tmp_path, kubeconfig, monkeypatch):
    other = tmp_path / "home" / ".local/share/jupyter/kernels/python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text('{"argv": ["/bin/false"], "display_name": "x", "language": "python"}')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    _, nb = run_one(write(tmp_path, "01", ("import sys; print(sys.executable)",)), kubeconfig, tmp_path)
    assert outputs(nb)[-1] == sys.executable


def test_a_missing_notebook_is_named(tmp_path, kubeconfig):
    with pytest.raises(LabError, match=r"none\.ipynb"):
        run([tmp_path / "none.ipynb"], cluster=kubeconfig, out=tmp_path / "out")


@pytest.mark.parametrize("name", ["password", "api_token", "clientSecret"])
def test_a_parameter_that_looks_like_a_secret_is_refused(tmp_path, kubeconfig, name):
    path = write(tmp_path, "01", (f'{name} = ""', "parameters"))
    with pytest.raises(ParameterError, match=f"{name} looks like a secret"):
        run([path], cluster=kubeconfig, out=tmp_path / "out", parameters={name: "x"})


# --- several at once ----------------------------------------------------------

MEET = """
import pathlib, time
pathlib.Path("{me}").touch()
while not pathlib.Path("{other}").exists():
    time.sleep(0.05)
"""


def test_two_runs_at_once_meet(tmp_path, kubeconfig):
    paths = [write(tmp_path, "01", (MEET.format(me="a", other="b"),)),
             write(tmp_path, "02", (MEET.format(me="b", other="a"),))]  # fmt: skip
    ended = run(paths, cluster=kubeconfig, out=tmp_path / "out", parallel=2)
    assert [r.failure for r in ended] == ["", ""]


def job(name, cluster, alone=""):
    return Job(f"{name}.ipynb", {}, "", cluster=cluster, alone=alone)


@pytest.mark.parametrize(
    ("running", "starts"),
    [
        ([], "07"),
        ([job("02", "a")], "03"),  # 07 waits until a has nothing else to do
        ([job("02", "b")], "07"),
        ([job("06", "a", alone="cluster")], None),
        ([job("09", "b", alone="machine")], None),
    ],
)
def test_what_changes_a_whole_cluster_runs_there_alone(running, starts):
    chosen = runs.next_job([job("07", "a", alone="cluster"), job("03", "a")], running)
    assert (chosen and chosen.name) == starts


def test_a_lesson_that_measures_waits_until_nothing_else_runs():
    load = job("09", "a", alone="machine")
    assert runs.next_job([load], [job("02", "b")]) is None
    assert runs.next_job([load], []) == load


@pytest.mark.parametrize(("tag", "alone"), [("cluster-wide", "cluster"), ("measures", "machine"), ("x", "")])
def test_a_notebook_says_by_a_tag_what_it_must_have_to_itself(tmp_path, tag, alone):
    path = write(tmp_path, "01", ("print(1)", tag))
    (planned,) = runs.plan([path], where={"glassbox": "glassbox"}, parameters={}, out=tmp_path)
    assert planned.alone == alone


# --- several clusters ----------------------------------------------------------


@pytest.fixture
def twins(api_server, tmp_path):
    """Two names for one server; what tells them apart is the parameter `cluster`."""
    other = tmp_path / "other"
    other.write_text(api_server.kubeconfig.read_text())
    return {"left": str(api_server.kubeconfig), "right": str(other)}


@pytest.fixture
def unreachable(api_server, tmp_path):
    path = tmp_path / "unreachable"
    path.write_text(api_server.kubeconfig.read_text().replace(f":{api_server.port}", ":1"))
    return str(path)


CLUSTER = ('cluster = "glassbox"', "parameters")


def test_what_differs_stands_side_by_side_beside_what_each_cluster_is_and_how_long_cells_took(tmp_path, twins):
    path = write(tmp_path, "01", CLUSTER, ("print('same')\nprint(cluster)",), ("print('alike')",),
                 ("print(cluster)", "needs:nodes>=2"))  # fmt: skip
    ended = run([path], cluster=twins, out=tmp_path / "out", parallel=2)
    assert [(r.name, r.cluster, r.passed) for r in ended] == [("01", "left", True), ("01", "right", True)]
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    (found,) = told["differences"]
    assert found["said"] == {name: f"same\n{address}" for name, address in twins.items()}
    assert told["clusters"]["left"]["provider"] == "kubeconfig"
    assert told["clusters"]["left"]["version"].startswith("v1.")
    assert {frozenset(times) for times in told["cells"]["01"].values()} >= {frozenset({"left", "right"})}
    lines = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert lines[0] == "cluster,name,passed,seconds,cells,cell,failure"
    assert [line.split(",")[:3] for line in lines[1:]] == [["left", "01", "True"], ["right", "01", "True"]]
    page = (tmp_path / "out" / "index.html").read_text()
    assert f"same\n<mark>{twins['right']}</mark>" in page
    assert "right/01.html" in page
    assert "alike" not in page


def test_a_cluster_that_does_not_answer_does_not_stop_the_others(tmp_path, kubeconfig, unreachable):
    path = write(tmp_path, "01", CLUSTER, ("print(1)",))
    ended = run([path], cluster={"dead": unreachable, "alive": kubeconfig}, out=tmp_path / "out")
    assert [(r.cluster, r.passed) for r in ended] == [("dead", False), ("alive", True)]
    assert "did not answer" in (tmp_path / "out" / "index.html").read_text()


def test_without_any_cluster_nothing_runs_and_the_next_step_is_told(tmp_path, unreachable):
    path = write(tmp_path, "01", CLUSTER, ("print(1)",))
    with pytest.raises(LabError, match="next:"):
        run([path], cluster=unreachable, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_clusters_whose_results_would_lie_in_one_place_are_refused(tmp_path, kubeconfig):
    with pytest.raises(LabError, match="two clusters would leave their results in one place"):
        run([write(tmp_path, "01")], cluster={"a:b": kubeconfig, "a/b": kubeconfig}, out=tmp_path / "out")


# --- again ----------------------------------------------------------

COUNT = "open('{name}.count', 'a').write('.')"


def times_run(tmp_path, name):
    return len((tmp_path / f"{name}.count").read_text())


def test_again_runs_only_what_failed(tmp_path, kubeconfig):
    good = write(tmp_path, "01", (COUNT.format(name="01"),))
    bad = write(tmp_path, "02", (COUNT.format(name="02"),), ("open('mended')",))
    run([good, bad], cluster=kubeconfig, out=tmp_path / "out")
    (tmp_path / "mended").touch()
    ended = run([good, bad], cluster=kubeconfig, out=tmp_path / "out", again=True)
    assert [r.passed for r in ended] == [True, True]
    assert (times_run(tmp_path, "01"), times_run(tmp_path, "02")) == (1, 2)


@pytest.mark.parametrize(
    ("change", "is_kept"),
    [
        ({}, True),
        ({"fingerprint": "of another notebook"}, False),
        ({"out": "gone.ipynb"}, False),
        ({"cluster": "b"}, False),
    ],
)
def test_only_what_would_be_run_just_so_again_is_kept(tmp_path, change, is_kept):
    (tmp_path / "01.ipynb").touch()
    planned = Job("01.ipynb", {}, str(tmp_path / "01.ipynb"), cluster="a", fingerprint="of this notebook")
    report = results.Report([planned], {}, [Result("01", "", 1.0, 0, cluster="a", fingerprint="of this notebook")])
    results.write_json(tmp_path, report)
    assert bool(results.passed_before(tmp_path, [replace(planned, **change)])) is is_kept


@pytest.mark.parametrize("content", ["", "{}", '{"runs": [{"name": "01"}]}', '{"runs": 7}'])
def test_results_that_cannot_be_read_keep_nothing(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    assert results.passed_before(tmp_path, []) == []


def test_a_run_is_told_from_another_by_its_notebook_and_its_parameters():
    prints = {runs.fingerprint(content, given) for content in (b"a", b"b") for given in ({}, {"seed": 1}, {"seed": 2})}
    assert len(prints) == 6


def labkit_run(tmp_path, kubeconfig, *arguments):
    command = [sys.executable, "-m", "labkit", "run", *arguments, "--cluster", kubeconfig, "--out", "out"]
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_an_interrupted_run_cleans_up_keeps_what_it_has_and_goes_on_from_there(tmp_path, kubeconfig):
    (tmp_path / "notebooks").mkdir()
    folder = tmp_path / "notebooks"
    write(folder, "01_first", ("open('first', 'a').write('.')",))
    write(folder, "02_second", ("import os, time; open('begun', 'w'); os.path.exists('go') or time.sleep(60)",),
          ("open('swept', 'w')", "cleanup"))  # fmt: skip
    write(folder, "03_third", ("open('third', 'w')",))
    interrupted = labkit_run(tmp_path, kubeconfig)
    eventually(lambda: (folder / "begun").exists() or interrupted.poll() is not None, within=60)
    interrupted.send_signal(signal.SIGINT)
    said = interrupted.communicate()[0]
    assert interrupted.returncode == 130, said
    assert "✗ 02_second" in said
    assert "--failed runs only what has not passed" in said
    assert (folder / "swept").exists()
    assert not (folder / "third").exists()
    (folder / "go").touch()
    resumed = labkit_run(tmp_path, kubeconfig, "--failed")
    said = resumed.communicate()[0]
    assert resumed.returncode == 0, said
    assert "01_first" not in said
    assert (folder / "third").exists()
    assert (folder / "first").read_text() == "."


def test_the_exit_status_tells_of_a_failure_and_a_number_names_a_lesson(tmp_path, kubeconfig):
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks", "01_first", ("1/0",))
    write(tmp_path / "notebooks", "02_second", ("print(1)",))
    failing, passing = (labkit_run(tmp_path, kubeconfig, number) for number in ("01", "02"))
    said = failing.communicate()[0]
    assert (failing.returncode, passing.wait()) == (1, 0)
    assert "✗ 01_first on" in said
    assert "cell 1: ZeroDivisionError: division by zero" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--own-cluster", "--cluster", "glassbox"], "name no --cluster beside it"),
        (["--nodes", "3"], "only with --own-cluster"),
        (["-p", "seed"], "expected: NAME=VALUE"),
    ],
)
def test_what_the_command_line_cannot_mean_is_refused(tmp_path, arguments, told):
    command = [sys.executable, "-m", "labkit", "run", *arguments]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    assert run.returncode in (1, 2)
    assert told in run.stderr
