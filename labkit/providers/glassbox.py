"""The embedded cluster as a provider: the only module outside glassbox that imports it.

What the command line and a lesson need of it passes through here; `ClusterError` becomes the kit's own error.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.errors import ClusterError
from labkit.glassbox import cluster, doctor, launcher

CAPABILITIES = frozenset(
    {
        "stop-components", "throwaway", "read-the-code", "add-nodes", "cut-nodes", "outside", "run-on-nodes",
        "localhost-node-ports",
    }
)  # fmt: skip


class GlassboxProvider:
    """Starts and stops embedded clusters by name."""

    name = "glassbox"

    def running(self, cluster: str) -> bool:
        """Tell whether the cluster's machine lives."""
        with _own_errors():
            return launcher.running(cluster)

    def start(self, cluster: str, **options: Any) -> None:
        """Start the cluster and wait until its nodes are Ready; options: nodes, progress, idle_limit."""
        with _own_errors():
            launcher.up(cluster, **{"progress": _silent, **options})

    def stop(self, cluster: str, *, purge: bool = False) -> None:
        """Stop the cluster; its objects stay stored, unless `purge`."""
        with _own_errors():
            launcher.down(cluster, purge=purge)

    def kubeconfig(self, cluster: str) -> tuple[Path, str | None]:
        """Return the administrator's kubeconfig; the context in it is its current one."""
        with _own_errors():
            return _layout(cluster).kubeconfig, None

    def capabilities(self, cluster: str) -> frozenset[str]:
        """Name what a lesson may do here."""
        return CAPABILITIES

    def components(self, cluster: str) -> dict[str, str]:
        """Return each component's state, as its supervisor knows it."""
        with _own_errors():
            return launcher.components(cluster)

    def change(self, cluster: str, verb: str, component: str) -> str:
        """Stop, start or restart a component; return its state then."""
        return change(cluster, verb, component)

    def enable(self, addon: str, cluster: str = "") -> None:
        """Do nothing for dns and storage, which are there; the dashboard is the kit's own, for every cluster."""
        if addon not in ("dns", "storage"):
            raise ClusterError(f"an embedded cluster has no add-on {addon}", expected="dns or storage: both are there")

    def run_on(self, cluster: str, node: str, command: list[str]) -> str:
        """Run a command in a node's network, as its root."""
        with _own_errors():
            return launcher.run_on(cluster, node, command)


def up(name: str, *, nodes: int | None, progress: launcher.Progress, **options: Any) -> launcher.Started:
    """Start a cluster, saying what is done; see launcher.up."""
    with _own_errors():
        return launcher.up(name, nodes, progress=progress, **options)


def declare_images(name: str, file: Path) -> list[str]:
    """Give a cluster the images that a file declares, in the place of those it had; return their names."""
    from labkit.glassbox.kubelet.images import ImageError, declare

    try:
        return declare(file, _layout(name).images)
    except ImageError as error:
        raise ClusterError(str(error)) from None


def down(name: str, *, purge: bool) -> bool:
    """Stop a cluster; tell whether it ran."""
    with _own_errors():
        return launcher.down(name, purge=purge)


def names() -> list[str]:
    """Return the names of all embedded clusters, running or not."""
    with _own_errors():
        return launcher.names()


def status(name: str) -> dict[str, Any] | None:
    """Return the components and figures of a running cluster, None if it does not run."""
    with _own_errors():
        return launcher.status(name)


def change(name: str, verb: str, component: str) -> str:
    """Stop, start or restart a component; return its state then."""
    with _own_errors():
        return launcher.change(name, verb, component)


def add_node(name: str, *, progress: launcher.Progress) -> str:
    """Give a running cluster one node more; return its name."""
    with _own_errors():
        return launcher.add_node(name, progress=progress)


def change_link(name: str, verb: str, node: str) -> None:
    """Cut a node from the network, or mend it."""
    with _own_errors():
        launcher.change_link(name, verb, node)


def examine() -> Iterator[doctor.Finding]:
    """Try what an embedded cluster needs of this machine."""
    return doctor.examine()


def kubeconfig(name: str) -> Path:
    """Return a cluster's kubeconfig; raises ClusterError if it has never been up."""
    with _own_errors():
        path = _layout(name).kubeconfig
        if not os.path.exists(path):
            raise cluster.ClusterError(f"cluster {name} has never been up", f"start it: labkit up --name {name}")
        return path


def _layout(name: str) -> cluster.Layout:
    return cluster.layout(name)


def _silent(kind: str, sentence: str) -> None:
    pass


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except cluster.ClusterError as error:
        raise ClusterError(error.message, next_step=error.next_step) from error
    except PermissionError as error:
        step = "use the user who started the cluster, or name another place: export LABKIT_HOME=DIRECTORY"
        raise ClusterError("no access to a cluster's state", value=error.filename, next_step=step) from error
