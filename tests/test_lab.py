"""Lab on a running cluster: its namespace, its kubeconfig, what it leaves alone."""

import os
import stat
import subprocess
import uuid

import pytest
import yaml

from labkit import Lab, LabError
from labkit.cluster import parse, private_config
from labkit.errors import ApiFailure, ClusterError, ParameterError
from labkit.glassbox import nftables
from labkit.kubectl import environment, fits, minor_of
from labkit.lab import default_namespace, label_value

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A state directory of the test's own; the environment is put back afterwards."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    return tmp_path


@pytest.fixture
def make(cluster, home):
    """Make labs on the running cluster, each in a namespace of its own unless named, and clean up after them."""
    labs = []

    def make_lab(**options):
        options.setdefault("namespace", f"t-{uuid.uuid4().hex[:8]}")
        lab = Lab(cluster=str(cluster.kubeconfig), **options)
        labs.append(lab)
        return lab

    yield make_lab
    for lab in labs:
        lab.cleanup()


def shell(command):
    """Run a line as a cell's `!` does."""
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout


@pytest.mark.cluster
def test_plain_kubectl_works_in_the_labs_namespace(make):
    lab = make()
    assert shell("kubectl create configmap colours --from-literal=a=b") == "configmap/colours created\n"
    assert lab.api.get("configmaps", "colours", lab.namespace)["data"] == {"a": "b"}


@pytest.mark.cluster
def test_the_kubeconfig_is_private_and_the_users_own_is_left_alone(make, home):
    (home / ".kube").mkdir()
    (home / ".kube" / "config").write_text("mine")
    lab = make()
    assert stat.S_IMODE(lab.kubeconfig.stat().st_mode) == 0o600
    assert os.environ["KUBECONFIG"] == str(lab.kubeconfig)
    assert (home / ".kube" / "config").read_text() == "mine"


@pytest.mark.cluster
def test_the_python_client_finds_the_labs_cluster_by_itself(make):
    from kubernetes import client, config

    lab = make()
    config.load_kube_config()
    assert client.Configuration.get_default_copy().host == lab.api.server


@pytest.mark.cluster
def test_a_grader_says_which_cluster_and_namespace_it_is_whatever_a_notebook_names(cluster, home, monkeypatch):
    monkeypatch.setenv("LABKIT_GRADED", f"{cluster.kubeconfig} default")
    lab = Lab(lesson="08", cluster="glassbox:nowhere", namespace="mine")
    assert (lab.namespace, lab.cluster.kubeconfig) == ("default", cluster.kubeconfig)


@pytest.mark.cluster
def test_a_second_run_starts_in_an_empty_namespace(make):
    lab = make()
    shell("kubectl create configmap colours")
    again = make(namespace=lab.namespace)
    assert [c["metadata"]["name"] for c in again.api.items("configmaps", lab.namespace)] in ([], ["kube-root-ca.crt"])


@pytest.mark.cluster
def test_a_run_may_resume_where_another_ended(make):
    lab = make()
    shell("kubectl create configmap colours")
    again = make(namespace=lab.namespace, fresh=False)
    assert again.api.get("configmaps", "colours", lab.namespace)


@pytest.mark.cluster
def test_two_students_do_not_meet(make):
    ana, ben = make(namespace="", lesson="97", student="Ana"), make(namespace="", lesson="97", student="Ben")
    ana.api.create("configmaps", {"metadata": {"name": "mine"}}, ana.namespace)
    assert ben.api.get("configmaps", "mine", ben.namespace) is None


@pytest.mark.cluster
def test_a_namespace_that_the_kit_did_not_make_is_never_removed(make, cluster, capsys):
    name = f"given-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    lab = make(namespace=name)
    lab.cleanup()
    assert f"kept namespace {name}" in capsys.readouterr().out
    assert name in cluster.kubectl("get", "namespaces", "-o", "name")


@pytest.mark.cluster
def test_cleanup_removes_the_second_namespace_too_and_waits(make, cluster):
    lab = make()
    other = lab.make_namespace("other")
    lab.cleanup()
    left = cluster.kubectl("get", "namespaces", "-o", "name").split()
    assert not {f"namespace/{lab.namespace}", f"namespace/{other}"} & set(left)


@pytest.mark.cluster
def test_cleanup_can_run_twice(make):
    lab = make()
    lab.cleanup()
    lab.cleanup()


@pytest.mark.cluster
def test_a_lesson_asks_what_the_cluster_can_do(make):
    lab = make()
    assert lab.can("nodes>=2")
    assert not lab.can("nodes>=99")
    assert not lab.can("stop-components")  # reached by a plain kubeconfig
    assert lab.can("network-policy") == bool(nftables.binary())


@pytest.mark.cluster
def test_an_unknown_resource_is_named(make):
    with pytest.raises(ClusterError, match="does not serve a resource named 'pigs'"):
        make().api.items("pigs")


@pytest.mark.cluster
def test_the_api_servers_words_come_through(make):
    lab = make()
    bad = {"metadata": {"name": "UPPER"}}
    with pytest.raises(ApiFailure, match='ConfigMap "UPPER" is invalid: metadata.name') as caught:
        lab.api.create("configmaps", bad, lab.namespace)
    assert caught.value.code == 422


def test_no_cluster_says_how_to_get_one(home, tmp_path):
    with pytest.raises(ClusterError, match="no kubeconfig at"):
        Lab(cluster=str(tmp_path / "none"))


def test_a_dead_api_server_says_what_to_try(home, tmp_path):
    path = tmp_path / "kubeconfig"
    context = {"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c"}
    server = {"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]}
    path.write_text(yaml.safe_dump({**context, **server, "users": [{"name": "u", "user": {"token": "t"}}]}))
    with pytest.raises(ClusterError, match="no API server answers at https://127.0.0.1:1") as caught:
        Lab(cluster=str(path))
    assert "labkit up" in str(caught.value)


def test_an_unknown_kind_of_cluster_lists_the_kinds():
    with pytest.raises(LabError, match=r"glassbox\[:NAME\]"):
        parse("kubernets")


@pytest.mark.parametrize("bad", ["Lab", "lab_03", "-lab", "l" * 64])
def test_a_name_that_no_namespace_can_have_is_refused_first(bad):
    with pytest.raises(ParameterError, match="cannot name a namespace"):
        Lab(cluster="/nowhere", namespace=bad)


@pytest.mark.parametrize(
    ("lesson", "student", "name"),
    [("03", "", "lab-03"), ("03", "Ana María", "lab-03-ana-maria"), ("", "", "lab"), ("03", "李", "lab-03")],
)
def test_the_namespace_tells_lesson_and_student(lesson, student, name):
    assert default_namespace(lesson, student) == name


def test_any_student_makes_a_label_value():
    assert label_value("Ana María") == "Ana_Mar_a"


def test_the_private_config_holds_one_context_and_absolute_paths(tmp_path):
    config = {
        "current-context": "a",
        "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in "ab"],
        "clusters": [{"name": n, "cluster": {"server": n, "certificate-authority": "ca.crt"}} for n in "ab"],
        "users": [{"name": n, "user": {"token": n}} for n in "ab"],
    }
    made = private_config(config, tmp_path, "b", "lab-03")
    assert made["contexts"] == [{"name": "b", "context": {"cluster": "b", "user": "b", "namespace": "lab-03"}}]
    assert made["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "ca.crt")
    assert [u["name"] for u in made["users"]] == ["b"]


def test_kubectl_fits_within_one_minor_version():
    assert fits(37, 36)
    assert fits(35, 36)
    assert not fits(34, 36)


@pytest.mark.parametrize(("version", "minor"), [("v1.36.2", 36), ("36+", 36), ("36", 36), ("v2.0", None)])
def test_minor_versions_are_read(version, minor):
    assert minor_of(version) == minor


def test_path_changes_only_when_another_kubectl_comes_first(tmp_path):
    binary = tmp_path / "kubectl"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    kept = environment({"PATH": str(tmp_path)}, kubeconfig=tmp_path, binary=binary, bin_dir=tmp_path / "bin")
    assert kept["PATH"] == str(tmp_path)
    put = environment({"PATH": "/usr/bin"}, kubeconfig=tmp_path, binary=binary, bin_dir=tmp_path / "bin")
    assert put["PATH"] == f"{tmp_path / 'bin'}:/usr/bin"


def test_the_error_of_a_lab_shows_no_frames_in_a_notebook():
    error = LabError("it broke", value=3, expected="4", next_step="mend it")
    assert error._render_traceback_() == ["LabError: it broke\n  found:    3\n  expected: 4\n  next:     mend it"]
