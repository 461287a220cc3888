"""Hand-ins graded on a cluster that somebody else runs: one way out, a namespace of its own, nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook

from labkit.errors import ClusterError
from labkit.grading import borrowed
from tests.embedded import eventually
from tests.lessons import ROOT

LOOK = """
import socket, yaml
for port in (yaml.safe_load(open("/handin/kubeconfig"))["clusters"][0]["cluster"]["server"].rsplit(":", 1)[1], OTHER):
    try:
        socket.create_connection(("127.0.0.1", int(port)), 5).close()
        print("reached")
    except OSError as error:
        print("no way", error.errno)
"""
CELLS = [
    'from labkit import Lab\nlab = Lab(cluster=cluster, namespace=namespace, lesson="03")',
    "!kubectl run shop-cart --image=registry.k8s.io/pause:3.10 --labels=backup=tonight",
    "!kubectl run shop-db --image=registry.k8s.io/pause:3.10 --labels=backup=tonight",
    "!kubectl get pods -n kube-system\n!kubectl get secrets",
]


def hand_in(folder, *sources):
    folder.mkdir()
    cells = ['cluster = "glassbox"\nnamespace = ""\nstudent = ""\nseed = 0', *sources]
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in cells]), folder / "ana.ipynb")


def grade(place, folder, *options):
    return subprocess.run(
        [sys.executable, "-m", "labkit", "grade", str(folder), "--lesson", "03", "--out", str(place / "out"), *options],
        cwd=ROOT, capture_output=True, text=True, timeout=300, env={**os.environ, "LABKIT_HOME": str(place)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def graded(cluster, tmp_path_factory):
    """Grade one hand-in on the session's cluster; a server of the host's must stay out of its reach."""
    place = tmp_path_factory.mktemp("borrowed")
    with socket.create_server(("127.0.0.1", 0)) as other:
        hand_in(place / "in", *CELLS, LOOK.replace("OTHER", str(other.getsockname()[1])))
        run = grade(place, place / "in", "--cluster", str(cluster.kubeconfig))
    assert run.returncode == 0, run.stdout + run.stderr
    return place / "out"


def said(out):
    cells = nbformat.read(out / "executed" / "ana.ipynb", as_version=4).cells
    return "\n".join(o.get("text") or o.get("evalue") or "" for c in cells for o in c.get("outputs", []))


@pytest.mark.cluster
def test_it_is_judged_by_what_it_left_there(graded):
    result = json.loads((graded / "results" / "ana.json").read_text())
    assert [i["state"] for i in result["exercises"][0]["items"]] == ["right", "right"], said(graded)


@pytest.mark.cluster
def test_it_may_edit_its_namespace_and_nothing_else(graded):
    assert 'cannot list resource "pods" in API group "" in the namespace "kube-system"' in said(graded)
    assert "No resources found" in said(graded)


@pytest.mark.cluster
def test_it_reaches_that_server_and_nothing_else(graded):
    assert "reached\nno way 111" in said(graded)


@pytest.mark.cluster
def test_nothing_of_it_stays_there(graded, cluster):
    assert "lab-03-" not in cluster.kubectl("get", "namespaces,clusterroles,clusterrolebindings", "-o", "name")


def config(user, **cluster):
    named = {"clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443", **cluster}}]}
    users = {"users": [{"name": "u", "user": user}]}
    context = {"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}
    return {"apiVersion": "v1", "kind": "Config"} | named | users | context


@pytest.mark.parametrize(
    ("user", "cluster", "named"),
    [({"exec": {"command": "login"}}, {}, "exec"), ({"token": "t"}, {"proxy-url": "http://192.0.2.2"}, "proxy-url")],
)
def test_what_needs_more_of_the_network_is_refused_by_its_name(tmp_path, user, cluster, named):
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config(user, **cluster)))
    with pytest.raises(ClusterError, match=f"cannot be used for grading: {named} "):
        borrowed.find(str(file))


def test_a_certificate_is_looked_at_for_the_name_that_it_was_made_for(tmp_path):
    with borrowed.Gate("https://192.0.2.1:6443") as gate:
        way, told = borrowed.through(gate.path, config({"token": "t"}))
        way.close()
    (cluster,) = told["clusters"]
    assert cluster["cluster"]["tls-server-name"] == "192.0.2.1"
    assert cluster["cluster"]["server"].startswith("https://127.0.0.1:")


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ctrl_c_leaves_nothing_on_the_cluster(cluster, tmp_path):
    hand_in(tmp_path / "in", CELLS[0], "!kubectl create configmap begun", "while True: pass")
    command = [sys.executable, "-m", "labkit", "grade", str(tmp_path / "in"), "--lesson", "03", "--out"]
    command += [str(tmp_path / "out"), "--cluster", str(cluster.kubeconfig)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        begun = ["get", "configmaps", "-A", "--field-selector=metadata.name=begun", "-o", "name"]
        eventually(lambda: cluster.kubectl(*begun), within=200)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=90)
    assert running.returncode == 130, said
    assert "lab-03-" not in cluster.kubectl("get", "namespaces,clusterroles,clusterrolebindings", "-o", "name")


QUARANTINE = "!kubectl create deployment api --image=example.com/api:1 --replicas=2"


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(580)
def test_an_image_that_another_cluster_has_is_waited_for_and_then_judged_there(throwaway, tmp_path):
    images = tmp_path / "images.yaml"
    images.write_text("images:\n  example.com/api: {base: tools, command: [sleep, 1h]}\n")
    assert throwaway.up("--images", str(images)).returncode == 0
    hand_in(tmp_path / "in", *CELLS[:3], QUARANTINE)
    done = grade(tmp_path, tmp_path / "in")
    assert "images that the grading cluster lacks: example.com/api:1" in done.stdout, done.stdout + done.stderr
    first = json.loads((tmp_path / "out" / "results" / "ana.json").read_text())
    assert [i["points"] for i in first["exercises"][1]["items"]][:2] == [None, None]

    done = grade(tmp_path, tmp_path / "in", "--resume", "--cluster", str(throwaway.kubeconfig))
    assert "[1 of 1" in done.stdout, done.stdout + done.stderr
    then = json.loads((tmp_path / "out" / "results" / "ana.json").read_text())
    assert [i["points"] for i in then["exercises"][1]["items"]][:2] == [1, 0]
    assert "[1 of 1" not in grade(tmp_path, tmp_path / "in", "--resume", "--cluster", str(throwaway.kubeconfig)).stdout
