"""kopf's own end-to-end tests pass on glassbox: its examples, each run as an operator."""

import pytest

from labkit.glassbox.cluster import FABRIC_URL
from tests.reach import enter
from tests.upstream.sources import environment, hold, outcomes, unpack

pytestmark = [pytest.mark.upstream, pytest.mark.cluster]

KOPF = "kopf==1.45.2"
TOOLS = ["pytest>=9", "pytest-aiohttp", "pytest-asyncio", "pytest-mock", "pytest-timeout", "freezegun", "kmock>=0.5"]
TOOLS += ["looptime>=0.8", "certbuilder", "certvalidator", "pykube-ng", "pyngrok", "pyyaml"]
# What the garbage collector finds in kopf's own process (a session whose login ran out, a test's event loop) is no
# answer of the cluster's, and falls to whichever test runs then.
OPTIONS = ["--only-e2e", "--timeout=60", "-W", "default::pytest.PytestUnraisableExceptionWarning"]
# At most three.
EXCUSED: dict[str, str] = {}


@pytest.mark.timeout(1800)
def test_kopfs_own_end_to_end_tests_pass(tmp_path, throwaway):
    up = throwaway.up()
    assert up.returncode == 0, up.stdout + up.stderr
    project = unpack(KOPF, tmp_path / "source")
    python = environment(tmp_path / "environment", *TOOLS, KOPF)
    with_new_openssl(python)
    through, kubeconfig = beside_the_api_server(throwaway)
    told = outcomes(python, project, *OPTIONS, through=through, KUBECONFIG=str(kubeconfig))
    hold(told, EXCUSED, passed=17)


def beside_the_api_server(cluster):
    """Return the command that runs another in the machine's network, and the kubeconfig to use there.

    The API server asks an operator's webhooks at `localhost`: as kopf expects where it does not know the cluster.
    """
    config = cluster.home / "kubeconfig"
    server = cluster.kubectl("config", "view", "-o=jsonpath={.clusters[0].cluster.server}")
    config.write_text(cluster.kubeconfig.read_text().replace(server, FABRIC_URL))
    return tuple(enter((cluster.root / "machine.pid").read_text())), config


def with_new_openssl(python):
    """Let oscrypto know versions of OpenSSL like 3.0.19: kopf's CI has it from git, where this is mended."""
    for file in python.parents[1].glob("lib/*/site-packages/oscrypto/_openssl/_libcrypto_c*.py"):
        file.write_text(file.read_text().replace(r"\\d\\.\\d\\.\\d[a-z]*", r"\\d\\.\\d\\.\\d+[a-z]*"))
