"""The tests of the Python clients' dynamic clients pass on glassbox: of the official one and of kubernetes_asyncio."""

import shutil

import pytest

from tests.upstream.sources import STAND_IN, environment, hold, outcomes, unpack

pytestmark = [pytest.mark.upstream, pytest.mark.cluster]

TOOLS = ["pytest<9", "pytest-asyncio<1", "pytest-timeout"]
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


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("requirement", "tests", "excused", "passed"),
    [
        ("kubernetes==37.0.2", ["test_client.py", "test_discovery.py"], OFFICIAL, 10),
        ("kubernetes_asyncio==36.1.0", ["client_test.py", "discovery_test.py"], ASYNCIO, 13),
    ],
)
def test_a_dynamic_clients_own_tests_pass(cluster, tmp_path, requirement, tests, excused, passed):
    project = unpack(requirement, tmp_path / "source")
    package = project / requirement.partition("==")[0]
    shutil.copytree(STAND_IN / "e2e_test", package / "e2e_test")
    python = environment(tmp_path / "environment", *TOOLS, requirement)
    given = [str(package / "dynamic" / each) for each in tests]
    hold(outcomes(python, project, *given, KUBECONFIG=str(cluster.kubeconfig)), excused, passed)
