"""Any cluster that a kubeconfig names. The kit cannot start or stop it.

A cluster is written `kubeconfig` (the current context), `kubeconfig:CONTEXT`, or as the path of a file.
"""

import os
from pathlib import Path
from typing import Any

import yaml

from labkit.errors import ClusterError


def default_file() -> Path:
    """Return the file that kubectl would read: the first that exists of KUBECONFIG, else ~/.kube/config."""
    named = [Path(p) for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    return next((p for p in named if p.exists()), named[0] if named else Path.home() / ".kube/config")


class KubeconfigProvider:
    """The provider of clusters that somebody else runs; `cluster` is a context, a path or empty."""

    name = "kubeconfig"

    def running(self, cluster: str) -> bool:
        """Tell whether the API server answers /version."""
        from labkit.api import Api

        try:
            Api(*self.kubeconfig(cluster)).request("GET", "/version")
        except ClusterError:
            return False
        return True

    def start(self, cluster: str, **options: Any) -> None:
        """Refuse: who runs the cluster starts it."""
        raise ClusterError(
            f"the kit does not start clusters of a kubeconfig ({cluster or 'current context'})",
            next_step="start it with its own tool (microk8s start, kind create cluster, minikube start …)",
        )

    def stop(self, cluster: str, *, purge: bool = False) -> None:
        """Leave the cluster alone: it is not the kit's."""

    def kubeconfig(self, cluster: str) -> tuple[Path, str | None]:
        """Return file and context; raises ClusterError when the file or the context is not there."""
        as_path = Path(cluster).expanduser()
        is_path = bool(cluster) and (os.sep in cluster or as_path.is_file())
        file = as_path if is_path else default_file()
        context = None if is_path or not cluster else cluster
        contexts = contexts_of(file)
        if context is not None and context not in contexts:
            raise ClusterError(
                f"{file} has no context named {context!r}",
                value=", ".join(contexts) or "no contexts at all",
                next_step="kubectl config get-contexts lists them",
            )
        return file.absolute(), context

    def capabilities(self, cluster: str) -> frozenset[str]:
        """Promise nothing beyond the API."""
        return frozenset()

    def components(self, cluster: str) -> dict[str, str]:
        """Refuse: the kit cannot see the processes of a cluster that is not its own."""
        raise _not_ours()

    def change(self, cluster: str, verb: str, component: str) -> str:
        """Refuse, for the same reason."""
        raise _not_ours()

    def enable(self, addon: str, cluster: str = "") -> None:
        """Refuse: who runs the cluster chooses what is in it."""
        raise ClusterError(
            f"the kit cannot turn on {addon} in a cluster of a kubeconfig", next_step="ask who runs the cluster"
        )

    def run_on(self, cluster: str, node: str, command: list[str]) -> str:
        """Refuse: the kit has no way into nodes that are not its own."""
        raise ClusterError(
            f"the kit cannot run a command on node {node}", next_step="log in to the node and run it there"
        )


def _not_ours() -> ClusterError:
    return ClusterError(
        "the components of this cluster are not the kit's to stop", next_step="use the embedded one: cluster='glassbox'"
    )


def contexts_of(file: Path) -> list[str]:
    """Return the contexts' names; raises ClusterError when the file cannot be read as a kubeconfig."""
    try:
        config = yaml.safe_load(file.read_text()) or {}
        return [c["name"] for c in config.get("contexts") or []]
    except OSError as error:
        raise ClusterError(
            f"no kubeconfig at {file}",
            value=error.strerror,
            next_step="name one: cluster='/path/to/kubeconfig', or use the embedded cluster: cluster='glassbox'",
        ) from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ClusterError(
            f"{file} is not a kubeconfig", value=str(error).split("\n")[0], next_step="see kubectl config view"
        ) from None
