"""pytest-kind's place in kr8s' tests, for a cluster that is there already: the environment says where."""

import pathlib
import subprocess
from os import environ


def pytest_addoption(parser):
    parser.addoption("--keep-cluster", action="store_true")


class KindCluster:
    """What kr8s' tests use of pytest_kind.cluster.KindCluster."""

    def __init__(self, name, image=None):
        self.kubeconfig_path, self.kubectl_path = pathlib.Path(environ["CLUSTER_KUBECONFIG"]), "kubectl"

    def create(self):
        """Leave the cluster as it is."""

    delete = create

    def kubectl(self, *arguments):
        if arguments[0] == "delete":  # tests run side by side, and each ends by deleting what they share
            arguments += ("--ignore-not-found",)
        command = [self.kubectl_path, "--kubeconfig", str(self.kubeconfig_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()
