"""Try a kind of cluster on this machine, step by step: for those that the kit's makers could not run themselves.

Each step says what it found, or what to do. The first that fails ends the check. A cluster that the check had to make
is removed again, one that it had to start is stopped; one that ran before goes on. The user's own kubeconfig must be
untouched at the end.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from labkit import cluster as clusters
from labkit import kubectl, providers
from labkit.cluster import Cluster
from labkit.errors import ClusterError, LabError
from labkit.providers.tool import ABSENT, ADDONS, ToolProvider

OLDEST_MINOR = 30
POD_SECONDS = 180.0  # the image may have to be pulled
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "hello"},
    "spec": {"containers": [{"name": "hello", "image": "busybox:1.36", "command": ["sleep", "3600"]}]},
}


@dataclass(frozen=True)
class Step:
    """One step: what was tried, whether it holds, what was found or what to do."""

    name: str
    ok: bool
    found: str


class Check:
    """The steps for one cluster, written as a notebook's parameter `cluster` is."""

    def __init__(self, address: str, *, addons: bool = False) -> None:
        self.address = address
        self.kind, self.name = clusters.parse(address)
        self.provider = providers.find(self.kind)
        self.started = self.made = False
        turned_on = [(f"enable {addon}", lambda addon=addon: self._enable(addon)) for addon in ADDONS] if addons else []
        program = [("program", self._program)] if isinstance(self.provider, ToolProvider) else []
        self.steps: list[tuple[str, Callable[[], str]]] = [
            *program, ("running", self._running), ("kubeconfig", self._kubeconfig), ("version", self._version),
            ("nodes", self._nodes), *turned_on, ("DNS", self._dns), ("storage", self._storage), ("a pod", self._pod),
        ]  # fmt: skip

    def run(self) -> Iterator[Step]:
        """Yield the steps as they are done."""
        before = _own_kubeconfig()
        try:
            for name, act in self.steps:
                try:
                    yield Step(name, True, act())
                except LabError as error:
                    yield Step(name, False, str(error))
                    break
        finally:
            if self.started:
                self.provider.stop(self.name, purge=self.made)
        same = _own_kubeconfig() == before
        yield Step("your own kubeconfig", same, "untouched" if same else "has changed: please tell the kit's makers")

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster, once its kubeconfig is there."""
        return Cluster(self.provider, self.name, *self.provider.kubeconfig(self.name))

    def _program(self) -> str:
        tool = self.provider
        assert isinstance(tool, ToolProvider)
        return tool.ask(tool.version).strip().split("\n")[0]

    def _running(self) -> str:
        if self.provider.running(self.name):
            return "before this check"
        self.made = isinstance(self.provider, ToolProvider) and self.provider.state(self.name) == ABSENT
        self.started = True
        self.provider.start(self.name)
        if not self.provider.running(self.name):
            raise ClusterError("it was started and does not say that it runs")
        return "started by this check"

    def _kubeconfig(self) -> str:
        return str(self.cluster.kubeconfig)

    def _version(self) -> str:
        minor = self.cluster.server_minor or 0
        if minor < OLDEST_MINOR:
            raise ClusterError("too old", value=f"1.{minor}", expected=f"1.{OLDEST_MINOR} or newer")
        return f"1.{minor}, with {kubectl.find(minor)}"

    def _nodes(self) -> str:
        told = {node["metadata"]["name"]: _is_ready(node) for node in self.cluster.api.items("nodes")}
        if not told or not all(told.values()):
            raise ClusterError("not every node is Ready", value=", ".join(n for n, ready in told.items() if not ready))
        return f"{', '.join(told)}: Ready"

    def _enable(self, addon: str) -> str:
        self.provider.enable(addon, self.name)
        return "done"

    def _dns(self) -> str:
        service = self.cluster.api.get("services", "kube-dns", "kube-system")
        if service is None:
            raise ClusterError("no service kube-dns in kube-system", next_step="turn it on: --enable")
        return f"kube-dns at {service['spec']['clusterIP']}"

    def _storage(self) -> str:
        for each in self.cluster.api.items("storageclasses"):
            if (each["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
                return f"{each['metadata']['name']} is the default class"
        raise ClusterError("no default StorageClass, and lesson 05 needs one", next_step="turn it on: --enable")

    def _pod(self) -> str:
        from labkit.lab import Lab

        with Path(os.devnull).open("w") as quiet, redirect_stdout(quiet):
            lab = Lab(cluster=self.address, namespace="labkit-provider-check")
            try:
                lab.api.create("pods", POD, lab.namespace)
                lab.wait("pod/hello", "Ready", timeout=POD_SECONDS)
            finally:
                lab.cleanup()
        return "came, was Ready, and went"


def _is_ready(node: dict) -> bool:
    conditions = node["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _own_kubeconfig() -> str:
    try:
        return hashlib.sha256((Path.home() / ".kube/config").read_bytes()).hexdigest()
    except OSError:
        return "none"
