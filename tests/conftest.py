"""Fixtures that several test modules share."""

import pytest

from tests.embedded import EmbeddedCluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A running embedded cluster of two nodes, for the whole session; tests use namespaces of their own."""
    with EmbeddedCluster(tmp_path_factory.mktemp("labkit")) as running:
        yield running


@pytest.fixture
def throwaway(tmp_path):
    """An embedded cluster for one test to start, break and stop; whatever is left of it is stopped at the end."""
    own = EmbeddedCluster(tmp_path)
    yield own
    own.down()
