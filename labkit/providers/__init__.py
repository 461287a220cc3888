"""Kinds of cluster, one file each: what differs between them is here and nowhere else.

A lesson asks what a cluster can do (`capabilities`), never which kind it is. The provider of the embedded cluster is
`labkit.providers.glassbox`; clusters that MicroK8s, kind, k3d and minikube make here are found by their own tools
(`labkit.providers.tool`); any other cluster that kubectl reaches comes through `labkit.providers.kubeconfig`.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol


class Provider(Protocol):
    """How the kit finds, starts and stops one kind of cluster."""

    name: str

    def running(self, cluster: str) -> bool:
        """Tell whether the cluster answers now."""

    def start(self, cluster: str, **options: Any) -> None:
        """Start the cluster, or do nothing if it runs; raises LabError when it cannot."""

    def stop(self, cluster: str, *, purge: bool = False) -> None:
        """Stop the cluster and leave nothing of it running; its objects may stay stored, unless `purge`."""

    def kubeconfig(self, cluster: str) -> tuple[Path, str | None]:
        """Return the file that kubectl needs and the context in it (None: the file's current one)."""

    def capabilities(self, cluster: str) -> frozenset[str]:
        """Name what a lesson may do here beyond the plain API, e.g. "stop-components"."""

    def components(self, cluster: str) -> dict[str, str]:
        """Return each component's state, where the cluster can "stop-components"; raises ClusterError elsewhere."""

    def change(self, cluster: str, verb: str, component: str) -> str:
        """Stop, start or restart a component; return its state then; raises ClusterError where nobody may."""

    def enable(self, addon: str, cluster: str = "") -> None:
        """Turn an add-on on: dns, storage or dashboard; do nothing where it is there; raises ClusterError."""

    def run_on(self, cluster: str, node: str, command: list[str]) -> str:
        """Run a command in a node's network and return what it says; raises ClusterError where nobody may."""


KINDS = {
    "glassbox": "GlassboxProvider",
    "kubeconfig": "KubeconfigProvider",
    "microk8s": "Microk8sProvider",
    "kind": "KindProvider",
    "k3d": "K3dProvider",
    "minikube": "MinikubeProvider",
}


def find(kind: str) -> Provider:
    """Return the provider of one kind of cluster; its module is imported only now, since some are slow to import."""
    return getattr(import_module(f"labkit.providers.{kind}"), KINDS[kind])()
