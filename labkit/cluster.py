"""Which cluster a notebook works on, and how to reach it without touching the user's own kubeconfig.

    glassbox            the embedded cluster (started when it does not run)
    glassbox:NAME       another embedded cluster
    microk8s            this machine's MicroK8s
    kind:NAME           a cluster of kind; k3d:NAME and minikube:NAME alike; without a name, one named labkit
    kubeconfig          the current context of the user's kubeconfig
    kubeconfig:CONTEXT  a context of it
    /path/to/file       the current context of that file

The kit writes a kubeconfig of its own, 0600, with that one context and the lesson's namespace set, and points
KUBECONFIG to it. It never writes to ~/.kube.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from labkit import kubectl, providers
from labkit.api import Api, Object
from labkit.errors import ClusterError, LabError
from labkit.progress import elapsed

DEFAULT = "glassbox"
DEFAULT_NAME = "labkit"  # of the embedded cluster, as `labkit up` makes it
NETWORK_POLICY, SERVICE_RULES, RUN_ON_NODES = "network-policy", "service-rules", "run-on-nodes"
POLICY_AGENTS = {"calico-node", "canal", "cilium", "kindnet", "kube-router", "antrea-agent", "weave-net"}


@dataclass(frozen=True)
class Cluster:
    """A cluster that a notebook may work on; `kubeconfig` is the file that leads there, `context` the way in it."""

    provider: providers.Provider
    name: str
    kubeconfig: Path
    context: str | None

    @cached_property
    def api(self) -> Api:
        """The connection, made when it is first needed."""
        return Api(self.kubeconfig, self.context)

    @cached_property
    def server_minor(self) -> int | None:
        """The API server's minor version, e.g. 36; raises ClusterError when it does not answer."""
        return kubectl.minor_of(self.api.request("GET", "/version").get("minor", ""))

    def can(self, what: str) -> bool:
        """Tell whether the cluster can do what a lesson asks for; "nodes>=N" counts the nodes."""
        if what.startswith("nodes>="):
            return len(self.api.items("nodes")) >= int(what.removeprefix("nodes>="))
        if what == NETWORK_POLICY:
            return self._enforces_policies()
        if what == SERVICE_RULES:
            return RUN_ON_NODES in self.provider.capabilities(self.name) and self._routes_by_rules()
        if what == "ingress":
            return bool(self.api.items("ingressclasses"))
        return what in self.provider.capabilities(self.name)

    def _enforces_policies(self) -> bool:
        """Tell whether the nodes say so, as the embedded cluster's do, or a plugin runs that is known to do it."""
        told = [each["status"] == "True" for each in self._conditions("NetworkPolicy")]
        return all(told) if told else any(o["metadata"]["name"] in POLICY_AGENTS for o in self.api.items("daemonsets"))

    def _routes_by_rules(self) -> bool:
        """Tell whether all nodes' services are rules of the kernel, as the embedded cluster's say."""
        told = [each["reason"] == "NftablesProxier" for each in self._conditions("ServiceRouting")]
        return bool(told) and all(told)

    def _conditions(self, kind: str) -> list[Object]:
        found = [each for node in self.api.items("nodes") for each in node["status"].get("conditions") or []]
        return [each for each in found if each["type"] == kind]


def parse(cluster: str) -> tuple[str, str]:
    """Split a cluster's name into the kind of provider and what the provider calls it; raises LabError."""
    kind, _, name = cluster.partition(":")
    if kind in providers.KINDS:
        return kind, name or (DEFAULT_NAME if kind == DEFAULT else "")
    if os.sep in cluster or Path(cluster).is_file():
        return "kubeconfig", cluster
    raise LabError(
        f"no kind of cluster is named {cluster!r}",
        expected="glassbox[:NAME], kubeconfig[:CONTEXT], microk8s, kind[:NAME], k3d[:NAME], minikube[:NAME], "
        "or the path of a kubeconfig",
        next_step="the embedded cluster is cluster='glassbox'",
    )


def from_anywhere(cluster: str) -> str:
    """Return the cluster's name as it reads in any working folder: a file by its absolute path."""
    kind, name = parse(cluster)
    is_file = kind == "kubeconfig" and name == cluster
    return str(Path(cluster).expanduser().absolute()) if is_file else cluster


def connect(cluster: str = DEFAULT, *, start: bool = False) -> Cluster:
    """Find the cluster and return it; an embedded one is started, others with `start`, where their tool can.

    Raises ClusterError when nobody answers.
    """
    kind, name = parse(cluster)
    provider = providers.find(kind)
    if (kind == DEFAULT or start) and not provider.running(name):
        with elapsed():
            provider.start(name)
    file, context = provider.kubeconfig(name)
    return Cluster(provider, name, file, context)


def state_home() -> Path:
    """Return the directory for what the kit itself writes; LABKIT_HOME names another."""
    if home := os.environ.get("LABKIT_HOME"):
        return Path(home).expanduser().absolute()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().absolute() / "labkit"


def private_config(config: dict[str, Any], base: Path, context: str | None, namespace: str) -> dict[str, Any]:
    """Reduce a kubeconfig to one context with the namespace set; relative paths are made absolute from `base`."""
    wanted = context or config.get("current-context") or ""
    entry = _named(config, "contexts", wanted, "context")
    cluster = _named(config, "clusters", entry.get("cluster", ""), "cluster")
    user = _named(config, "users", entry.get("user", ""), "user") if entry.get("user") else {}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": wanted,
        "contexts": [{"name": wanted, "context": {**entry, "namespace": namespace}}],
        "clusters": [{"name": entry["cluster"], "cluster": _absolute(cluster, base, "certificate-authority")}],
        "users": [
            {
                "name": entry.get("user", ""),
                "user": _absolute(user, base, "client-certificate", "client-key", "tokenFile"),
            }
        ],
    }


def write_private(path: Path, config: dict[str, Any]) -> Path:
    """Write a kubeconfig that only its owner reads, whole or not at all; raises LabError when it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from the start
        with os.fdopen(handle, "w") as file:
            yaml.safe_dump(config, file, sort_keys=False)
        os.replace(fresh, path)
    except OSError as error:
        raise LabError(
            f"cannot write {path}",
            value=error.strerror,
            expected="a directory that you may write to",
            next_step="name another: export LABKIT_HOME=/some/writable/directory",
        ) from None
    return path


def enter(cluster: Cluster, namespace: str) -> Path:
    """Point this process's kubectl and labkit to the cluster and namespace; return the private kubeconfig."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    private = private_config(config, cluster.kubeconfig.parent, cluster.context, namespace)
    where = "".join(c if c.isalnum() or c in "-." else "_" for c in f"{cluster.provider.name}-{cluster.name}")
    path = write_private(state_home() / "kubeconfigs" / where / namespace, private)
    if "stop-components" in cluster.provider.capabilities(cluster.name):
        os.environ["LABKIT_CLUSTER"] = cluster.name  # the command line's default
    bin_dir = state_home() / "bin"
    binary = kubectl.find(cluster.server_minor)
    env = kubectl.environment(os.environ, kubeconfig=path, binary=binary, bin_dir=bin_dir)
    if str(bin_dir) in env["PATH"].split(os.pathsep):
        kubectl.link(binary, bin_dir)
    os.environ.update(env)
    if client := sys.modules.get("kubernetes.config.kube_config"):
        client.__dict__["KUBE_CONFIG_DEFAULT_LOCATION"] = str(path)  # as it was when the module was imported
    _offer_command(bin_dir)
    return path


def _offer_command(bin_dir: Path) -> None:
    """Let `!labkit …` be the command that came with this interpreter, whether or not its folder is on PATH."""
    beside = Path(sys.executable).parent / "labkit"
    if beside.exists() and shutil.which("labkit") != str(beside):
        kubectl.link(beside, bin_dir)
        if str(bin_dir) not in os.environ["PATH"].split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join([str(bin_dir), os.environ["PATH"]])


def _named(config: dict[str, Any], section: str, name: str, noun: str) -> dict[str, Any]:
    for entry in config.get(section) or []:
        if entry.get("name") == name:
            return entry.get(noun) or {}
    raise ClusterError(
        f"the kubeconfig has no {noun} named {name!r}" if name else f"the kubeconfig names no current {noun}",
        next_step="look at it: kubectl config view; choose: kubectl config use-context NAME, or kubeconfig:CONTEXT",
    )


def _absolute(entry: dict[str, Any], base: Path, *fields: str) -> dict[str, Any]:
    return {**entry, **{f: str((base / entry[f]).absolute()) for f in fields if entry.get(f)}}
