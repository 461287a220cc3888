"""kr8s' own tests pass on glassbox, which stands in for the kind cluster that they would start."""

import pytest

from tests.embedded import EmbeddedCluster
from tests.upstream.sources import environment, hold, outcomes, unpack

pytestmark = [pytest.mark.upstream, pytest.mark.cluster]

KR8S = "kr8s==0.20.15"
TOOLS = [
    "pytest<9",
    "pytest-asyncio<1",
    "pytest-timeout",
    "pytest-xdist",
    "pytest-rerunfailures",
    "trio",
    "lightkube",
    "kubernetes<35",
]
TOOLS += ["pytest-rerunfailures", "pykube-ng", "kubernetes-asyncio<35", "kubernetes-validate", "httpx-ws<0.8"]
# Reruns as in its own CI: it says that it forwards a port before it listens there.
OPTIONS = ["-p", "pytest_kind", "-n", "2", "--dist", "loadfile", "--timeout", "180", "--reruns", "3"]
# At most three.
EXCUSED = {
    "test_api::test_api_resources": "wants one resource called pods; metrics.k8s.io, which kind lacks, has one too",
}
# The images that the tests name: there is no registry, so these are theirs by name, and do what they are asked to do.
IMAGES = """
images:
  nginx:
    base: tools
    command: [httpd, -f, -p, "80", -h, /usr/share/nginx/html]
    files: {/usr/share/nginx/html/index.html: index.html}
  ubuntu: {base: tools, command: [sh]}
  gcr.io/google_containers/pause: {base: pause, command: [/pause]}
"""


@pytest.fixture
def kind_like(tmp_path):
    """A cluster with what kind's has: pods in kube-system, and a kubeconfig with a client certificate."""
    (tmp_path / "images.yaml").write_text(IMAGES)
    (tmp_path / "index.html").write_text("It works\n")
    cluster = EmbeddedCluster(tmp_path)
    up = cluster.up("--images", str(tmp_path / "images.yaml"))
    assert up.returncode == 0, up.stdout + up.stderr
    for name in ("coredns", "kube-proxy"):
        labels = f"--labels=tier=node,k8s-app={name}"
        cluster.kubectl("run", name, "-n", "kube-system", "--image=gcr.io/google_containers/pause", labels)
    cluster.kubectl("wait", "pod", "--all", "-n", "kube-system", "--for=condition=Ready", "--timeout=60s")
    cluster.use_certificate()
    yield cluster
    cluster.down()


@pytest.mark.timeout(1200)
def test_kr8s_own_tests_pass(tmp_path, kind_like):
    project = unpack(KR8S, tmp_path / "source")
    python = environment(tmp_path / "environment", *TOOLS, KR8S)
    told = outcomes(python, project, *OPTIONS, "kr8s", CLUSTER_KUBECONFIG=str(kind_like.kubeconfig))
    hold(told, EXCUSED, passed=241)
