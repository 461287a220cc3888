"""The Python clients' tests of their dynamic clients pass on glassbox: the official one's, both ways, and asyncio's."""

import functools
import shutil

import pytest

from tests.upstream.sources import STAND_IN, environment, hold, outcomes, unpack

pytestmark = [pytest.mark.upstream, pytest.mark.cluster]

TOOLS = ["pytest<9", "pytest-asyncio<1", "pytest-timeout", "aiohttp"]
OLD = "defines its kind by apiextensions.k8s.io/v1beta1, which Kubernetes has not served since 1.22"
OFFICIAL = {
    "TestDynamicClient::test_cluster_custom_resources": OLD,
    "TestDynamicClient::test_namespaced_custom_resources": OLD,
    "TestDynamicClient::test_async_namespaced_custom_resources": OLD,
    "TestDiscoverer::test_cache_decoder_resource_and_subresource": "compares two client objects",
}
ASYNCIO = {
    "TestDynamicClient::test_server_side_apply_api": "applies a Deployment as a Pod, which is a 400",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a client's source distribution, and an interpreter that has what it needs."""

    @functools.cache
    def checkout(requirement):
        folder = tmp_path_factory.mktemp("client")
        return unpack(requirement, folder / "source"), environment(folder / "environment", *TOOLS, requirement)

    return checkout


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("requirement", "package", "tests", "excused", "passed"),
    [
        ("kubernetes==37.0.2", "kubernetes", ["test_client.py", "test_discovery.py"], OFFICIAL, 10),
        ("kubernetes==37.0.2", "kubernetes/aio", ["client_test.py", "discovery_test.py"], ASYNCIO, 13),
        ("kubernetes_asyncio==36.1.0", "kubernetes_asyncio", ["client_test.py", "discovery_test.py"], ASYNCIO, 13),
    ],
)
def test_a_dynamic_clients_own_tests_pass(cluster, checkout, requirement, package, tests, excused, passed):
    project, python = checkout(requirement)
    shutil.copytree(STAND_IN / "e2e_test", project / package / "e2e_test")
    given = [str(project / package / "dynamic" / each) for each in tests]
    hold(outcomes(python, project, *given, KUBECONFIG=str(cluster.kubeconfig)), excused, passed)
