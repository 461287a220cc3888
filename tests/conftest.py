"""Fixtures that several test modules share."""

import os
import uuid
from collections import Counter

import pytest

from labkit import Lab
from labkit.glassbox.kubelet import interpreters
from tests.api_server import ApiServer
from tests.embedded import EmbeddedCluster
from tests.lessons import manifests


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A running embedded cluster of two nodes, for the whole session; tests use namespaces of their own."""
    with EmbeddedCluster(tmp_path_factory.mktemp("labkit")) as running:
        yield running


@pytest.fixture
def lab(request, cluster, tmp_path, monkeypatch):
    """A lesson's namespace of its own; the module's LESSON says which, and kubectl() of tests.lessons speaks to it."""
    lesson = getattr(request.module, "LESSON", "") or request.getfixturevalue("lesson")
    for name in ("KUBECONFIG", "PATH", "LABKIT_KUBECTL"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.chdir(manifests(lesson))
    lab = Lab(cluster=str(cluster.kubeconfig), namespace=f"test-{lesson}-{uuid.uuid4().hex[:8]}", lesson=lesson)
    yield lab
    lab.cleanup()


@pytest.fixture
def throwaway(tmp_path):
    """An embedded cluster for one test to start, break and stop; whatever is left of it is stopped at the end."""
    own = EmbeddedCluster(tmp_path)
    yield own
    own.down()


@pytest.fixture(scope="session")
def api_server(tmp_path_factory):
    """A running API server alone, without components, for the whole session; tests use namespaces of their own."""
    running = ApiServer(tmp_path_factory.mktemp("apiserver")).start()
    yield running
    running.stop()


@pytest.fixture
def own_api_server(tmp_path):
    """An API server for one test to stop, kill and start again."""
    own = ApiServer(tmp_path).start()
    yield own
    if own.process.poll() is None:
        own.stop()


@pytest.fixture
def namespace(api_server):
    """A namespace with its default service account, which a controller would make."""
    name = "t-" + uuid.uuid4().hex[:8]
    api_server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    api_server.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    return name


def pytest_addoption(parser):
    """`--rewrite` records the kubectl transcripts anew instead of comparing them."""
    parser.addoption("--rewrite", action="store_true", help="record tests/transcripts/ anew")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Put the files first whose tests may take longest, then those with most tests: no long one begins last."""
    limits, counts = Counter(), Counter(item.path for item in items)
    for item in items:
        if marker := item.get_closest_marker("timeout"):
            limits[item.path] = max(limits[item.path], *marker.args)
    items.sort(key=lambda item: (-limits[item.path], -counts[item.path]))


@pytest.fixture(scope="session")
def python_image():
    """The X.Y of the newest Python that this host has as an image, 3.12 if it has that."""
    minors = [each.minor for each in interpreters.find()]
    return "3.12" if "3.12" in minors else minors[0]
