"""lightkube and JavaScript's client on a running cluster."""

import os
import shutil
import subprocess
from pathlib import Path

import lightkube
import pytest
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import PatchType

from tests.live import fresh_namespace, make, pod

pytestmark = pytest.mark.cluster

JAVASCRIPT = Path(__file__).with_name("clients") / "client.mjs"
CLIENT_NODE = "@kubernetes/client-node@1.4.0"  # the newest for node 20
SERVE = "echo hello > /tmp/index.html; httpd -p 8080 -h /tmp; echo serving; exec sleep 777"


@pytest.fixture(scope="module")
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        make(cluster, name, pod("box", SERVE))
        yield name


@pytest.fixture
def light(cluster, namespace):
    config = lightkube.KubeConfig.from_file(str(cluster.kubeconfig))
    return lightkube.Client(config=config, namespace=namespace, field_manager="light", trust_env=False)


def configmap(name, **data):
    return ConfigMap(metadata=ObjectMeta(name=name), data=data)


def test_lightkube_creates_lists_patches_and_deletes(light):
    light.create(configmap("a", k="1"))
    light.patch(ConfigMap, "a", {"data": {"k": "2"}}, patch_type=PatchType.MERGE)
    assert [each.data for each in light.list(ConfigMap, fields={"metadata.name": "a"})] == [{"k": "2"}]
    light.delete(ConfigMap, "a")
    with pytest.raises(lightkube.ApiError, match='configmaps "a" not found'):
        light.get(ConfigMap, "a")


def test_lightkube_watches_from_the_revision_of_its_list(light):
    listed = light.list(ConfigMap)
    assert "kube-root-ca.crt" in [each.metadata.name for each in listed]
    revision = listed.resourceVersion
    light.create(configmap("b", k="1"))
    light.replace(configmap("b", k="2"))
    seen = light.watch(ConfigMap, resource_version=revision, server_timeout=5)
    assert [(kind, obj.data) for kind, obj in (next(seen), next(seen))] == [
        ("ADDED", {"k": "1"}),
        ("MODIFIED", {"k": "2"}),
    ]


def test_lightkube_runs_a_pod_reads_its_log_and_executes_in_it(light):
    spec = PodSpec(containers=[Container(name="c", image="busybox", command=["sh", "-c", "echo up; sleep 99"])])
    light.create(Pod(metadata=ObjectMeta(name="light"), spec=spec))
    light.wait(Pod, "light", for_conditions=["Ready"])
    assert list(light.log("light")) == ["up\n"]
    ended = light.exec("light", command=["sh", "-c", "cat; echo no >&2; exit 4"], stdin="yes", stdout=True, stderr=True)
    assert (ended.stdout, ended.stderr, ended.exit_code) == ("yes", "no\n", 4)


@pytest.fixture(scope="module")
def javascript(tmp_path_factory):
    """A folder with JavaScript's client and our program for it."""
    folder = tmp_path_factory.mktemp("javascript")
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("this host has no node")
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), CLIENT_NODE]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    return shutil.copy(JAVASCRIPT, folder)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_javascripts_client_does_what_it_is_told(cluster, namespace, javascript):
    variables = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    run = subprocess.run(["node", javascript, namespace], env=variables, capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines() == [
        "list: 1",
        "watch: ADDED two",
        "informer: 2 3 one",
        "exec: hello NonZeroExitCode 3",
        "log: serving",
        "port-forward: hello",
    ], run.stderr
