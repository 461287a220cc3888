"""The module from which KindCluster is imported."""

from pytest_kind import KindCluster as KindCluster
