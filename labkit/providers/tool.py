"""Clusters that a command-line tool makes on this machine: what MicroK8s, kind, k3d and minikube have in common.

A provider says which commands it runs, as data; the kit shows each command that changes something before it runs it.
`connect` never makes such a cluster, since that takes minutes and downloads much: `labkit run --start` does, and
`labkit provider-check`. The user's own kubeconfig is never written: the tool is told another file, 0600.

Left out: the number of nodes, versions, drivers. Make such a cluster with the tool itself; the kit then finds it.
"""

import os
import shlex
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from labkit.cluster import state_home, write_private
from labkit.errors import ClusterError
from labkit.providers.kubeconfig import KubeconfigProvider
from labkit.say import say

Command = tuple[str, ...]  # {name} stands for the cluster, {file} for the kubeconfig that the kit keeps
ASK_SECONDS, CHANGE_SECONDS = 60, 900
ABSENT, STOPPED, RUNNING = "absent", "stopped", "running"
ADDONS = ("dns", "storage", "dashboard")
HEADLAMP: Command = (
    "kubectl", "--kubeconfig", "{file}", "apply", "-f",
    "https://raw.githubusercontent.com/kubernetes-sigs/headlamp/main/kubernetes-headlamp.yaml",
)  # fmt: skip


class ToolProvider(KubeconfigProvider, ABC):
    """The provider of one tool's clusters; it promises a lesson nothing beyond the API, as a kubeconfig's does."""

    name: str
    program: str
    install: str  # where its makers say how to install it
    default = "labkit"  # the cluster meant when none is named
    version: Command
    status: Command
    config: Command  # prints a kubeconfig,
    writes_file = False  # or writes it into the file of KUBECONFIG
    steps: Mapping[str, tuple[Command, ...]]  # create, resume, stop, remove
    addons: Mapping[str, Command]  # () where it is there from the start

    @abstractmethod
    def read_state(self, output: str, cluster: str) -> str:
        """Read ABSENT, STOPPED or RUNNING from what the status command said."""

    def state(self, cluster: str) -> str:
        """Ask the tool how the cluster is; raises ClusterError when the tool is not there or will not say."""
        return self.read_state(self.ask(self.status, cluster, may_fail=True), cluster or self.default)

    def running(self, cluster: str) -> bool:
        """Tell whether the tool is there and says that the cluster runs."""
        return shutil.which(self.program) is not None and self.state(cluster) == RUNNING

    def start(self, cluster: str, **options: Any) -> None:
        """Make the cluster, or start it again; raises ClusterError with the tool's own words."""
        if options:
            what = f"{self.name}: {', '.join(options)} is not implemented"
            raise ClusterError(what, next_step=self._by_hand(cluster))
        before = self.state(cluster)
        if before != RUNNING:
            self._change("create" if before == ABSENT else "resume", cluster)

    def stop(self, cluster: str, *, purge: bool = False) -> None:
        """Stop the cluster; with `purge` remove it, where the tool can make it again."""
        if self.state(cluster) != ABSENT:
            self._change("remove" if purge else "stop", cluster)

    def kubeconfig(self, cluster: str) -> tuple[Path, str | None]:
        """Write what the tool says leads to the cluster into a file of the kit's; return that file."""
        if self.state(cluster) != RUNNING:
            what = f"no {self.name} cluster {cluster or self.default} runs"
            raise ClusterError(what, next_step=self._by_hand(cluster))
        said = self.ask(self.config, cluster)
        file = self.file(cluster)
        if not self.writes_file:
            write_private(file, self._parsed(said))
        return file, None

    def enable(self, addon: str, cluster: str = "") -> None:
        """Turn an add-on on: dns, storage or dashboard; nothing to do where it is there from the start."""
        if addon not in self.addons:
            raise ClusterError(f"{self.name} has no add-on {addon}", expected=", ".join(self.addons))
        if self.addons[addon]:
            self._run(self.addons[addon], cluster)

    def command(self, command: Command, cluster: str) -> list[str]:
        """Return a command as it is run."""
        values = {"{name}": cluster or self.default, "{file}": str(self.file(cluster))}
        return [values.get(word, word) for word in command]

    def file(self, cluster: str) -> Path:
        """Return where the kit keeps the cluster's kubeconfig."""
        return state_home() / "kubeconfigs" / f"{self.name}-{cluster or self.default}.yaml"

    def ask(self, command: Command, cluster: str = "", *, may_fail: bool = False) -> str:
        """Run a command that changes nothing and return what it says; raises ClusterError when it fails."""
        words = self.command(command, cluster)
        if shutil.which(words[0]) is None:
            raise ClusterError(f"{words[0]} is not on PATH", next_step=f"install it: {self.install}")
        done = self._call(words, cluster, ASK_SECONDS)
        if done.returncode and not may_fail:
            raise self._failure(words, done.stderr or done.stdout)
        return done.stdout or done.stderr

    def _change(self, step: str, cluster: str) -> None:
        for command in self.steps[step]:
            self._run(command, cluster)

    def _run(self, command: Command, cluster: str) -> None:
        words = self.command(command, cluster)
        say(f"• {shlex.join(words)}")
        done = self._call(words, cluster, CHANGE_SECONDS)
        if done.returncode:
            raise self._failure(words, done.stderr or done.stdout)

    def _call(self, words: list[str], cluster: str, seconds: int) -> "subprocess.CompletedProcess[str]":
        file = self.file(cluster)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        environment = {**os.environ, "KUBECONFIG": str(file)}
        try:
            return subprocess.run(words, capture_output=True, text=True, timeout=seconds, env=environment)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self._failure(words, str(error)) from None

    def _parsed(self, said: str) -> dict[str, Any]:
        config = yaml.safe_load(said)
        if not isinstance(config, dict) or not config.get("contexts"):
            raise self._failure(self.command(self.config, ""), said)
        return config

    def _failure(self, words: list[str], said: str) -> ClusterError:
        told = "\n            ".join(said.strip().splitlines()[-4:]) or "nothing"
        return ClusterError(f"{shlex.join(words)} failed", value=told, next_step="run it by hand to see more")

    def _by_hand(self, cluster: str) -> str:
        commands = [shlex.join(self.command(c, cluster)) for c in self.steps["create"]]
        return f"{' && '.join(commands)}, or labkit run --start"
