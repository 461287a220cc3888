"""Hand-ins graded by a Dask cluster's workers: the same results and evidence as here."""

import csv
import io
import json
import os
import subprocess
import sys
import tarfile

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import labkit
from labkit.errors import LabError
from labkit.grading import kept, remote
from tests.lessons import ROOT

distributed = pytest.importorskip("distributed")
LAB = 'from labkit import Lab\nlab = Lab(cluster=cluster, namespace=namespace, lesson="03")'
LABEL = "!kubectl run {} --image=registry.k8s.io/pause:3.10 --labels=backup=tonight"
ANSWERS = {"ana": [LAB, LABEL.format("shop-cart"), LABEL.format("shop-db")], "bea": [LAB, LABEL.format("scratch")]}


def hand_in(folder, student, sources):
    first = 'cluster = "glassbox"\nnamespace = ""\nstudent = ""\nseed = 0'
    nbformat.write(new_notebook(cells=[new_code_cell(s) for s in (first, *sources)]), folder / f"{student}.ipynb")


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_two_workers_grade_a_class(tmp_path):
    (tmp_path / "in").mkdir()
    for student, sources in ANSWERS.items():
        hand_in(tmp_path / "in", student, sources)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        run = subprocess.run(
            [sys.executable, "-m", "labkit", "grade", str(tmp_path / "in"), "--lesson", "03",
             "--out", str(tmp_path / "out"), "--executor", cluster.scheduler_address.replace("tcp://", "dask://")],
            cwd=ROOT, capture_output=True, text=True, timeout=400, env={**os.environ, "LABKIT_HOME": str(tmp_path)},
        )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 hand-ins of lesson 03, 2 at once" in run.stdout
    with (tmp_path / "out" / "grades.csv").open() as file:
        assert {row["student"]: row["points"] for row in csv.DictReader(file)} == {"ana": "3", "bea": "1"}
    held = kept.read(tmp_path / "out" / "objects" / "ana.json.gz")
    assert held.get("pods", "shop-db", "lab-03") is not None
    assert (tmp_path / "out" / "kept" / "ana" / "store.db").exists()
    assert (tmp_path / "out" / "executed" / "bea.ipynb").exists()
    assert list((tmp_path / "out").glob("lk-*")) == []


def test_what_was_left_goes_where_the_order_wants_it_and_nowhere_else(tmp_path):
    left = tmp_path / "left"
    (left / "kept").mkdir(parents=True)
    (left / "kept" / "store.db").write_text("new")
    (left / "kept" / "out").symlink_to("/etc/passwd")
    (left / "result").write_text(json.dumps({"points": 1}))
    order = {each: str(tmp_path / "grades" / each / "ana") for each in remote.LEFT}
    (tmp_path / "grades" / "kept" / "ana").mkdir(parents=True)
    (tmp_path / "grades" / "kept" / "ana" / "old").write_text("old")
    archive = remote.pack(left)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        assert "./kept/out" in packed.getnames()
    remote.unpack(archive, order)
    assert json.loads((tmp_path / "grades" / "result" / "ana").read_text()) == {"points": 1}
    assert [p.name for p in (tmp_path / "grades" / "kept" / "ana").iterdir()] == ["store.db"]
    assert sorted(p.name for p in (tmp_path / "grades").iterdir()) == ["kept", "result"]


def test_an_executor_of_another_kind_is_refused_by_its_name():
    with pytest.raises(LabError, match="no such executor") as refused:
        remote.Dask("ray://127.0.0.1:1")
    assert "ray://127.0.0.1:1" in str(refused.value)


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 1)
    with pytest.raises(LabError, match="no Dask scheduler answers at dask://127.0.0.1:1"):
        remote.Dask("dask://127.0.0.1:1")


@pytest.mark.slow
def test_workers_with_another_kit_are_refused_by_their_addresses(monkeypatch):
    monkeypatch.setattr(remote, "__version__", "0.0.1")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        (address,) = cluster.scheduler.workers
        crew = remote.Dask(cluster.scheduler_address.replace("tcp://", "dask://"))
        with pytest.raises(LabError, match="the workers have not this kit") as refused, crew:
            pass
    assert f"{address}: {labkit.__version__}" in str(refused.value)
