"""A cluster to throw away: for one run (own_cluster), its state in a folder that goes with it; for those steps of a
lesson that change a cluster as a whole (OwnCluster), beside the cluster that the lesson works on; or in its place, for
a lesson that takes the whole cluster apart (instead_of).
"""

import os
import shutil
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labkit import providers
from labkit.cluster import DEFAULT, DEFAULT_NAME, Cluster, parse
from labkit.errors import ClusterError
from labkit.say import say

NAME_LENGTH = 40  # characters that a cluster's name may have
IDLE_SECONDS = 1800.0  # a kernel that was killed leaves its cluster behind for so long
RELOAD_SECONDS, LOOK_SECONDS = 20.0, 0.1
RELOADED = "reloaded the encryption configuration"  # the API server's log says so, as upstream's does


@contextmanager
def own_cluster(nodes: int | None = None) -> Iterator[str]:
    """Start an embedded cluster that nobody else sees; give its name, as a notebook's parameter `cluster` takes it."""
    provider = providers.find("glassbox")
    before = os.environ.get("LABKIT_HOME")
    with tempfile.TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True) as home:
        os.environ["LABKIT_HOME"] = home
        try:
            provider.start(DEFAULT_NAME, nodes=nodes)
            yield DEFAULT
        finally:
            provider.stop(DEFAULT_NAME)
            _restore("LABKIT_HOME", before)


def _restore(variable: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value


@dataclass(frozen=True)
class OwnCluster:
    """An embedded cluster that is a lesson's alone.

    kubeconfig  the administrator's
    state       the directory of its files, the store's (store.db, store.db-wal) among them
    """

    name: str
    kubeconfig: Path

    @property
    def state(self) -> Path:
        return self.kubeconfig.parent

    def encrypt(self, configuration: str | Path, *, timeout: float = RELOAD_SECONDS) -> None:
        """Put an EncryptionConfiguration where the API server looks for it, and wait until it is in force."""
        before, deadline = self._reloads(), time.monotonic() + timeout
        fresh = self.state / ".encryption-config.yaml"
        shutil.copyfile(configuration, fresh)
        fresh.replace(self.state / "encryption-config.yaml")
        while self._reloads() == before:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"the API server has not taken {configuration}",
                    value=(self._log().read_text().splitlines() or ["its log is empty"])[-1],
                    next_step="it takes a file only when it is valid and says something new",
                )
            threading.Event().wait(LOOK_SECONDS)
        say(f"✓ the API server has read {Path(configuration).name}: it holds for every write from now on")

    def remove(self) -> None:
        """Stop it and forget its objects."""
        providers.find("glassbox").stop(self.name, purge=True)

    def _log(self) -> Path:
        return self.state / "logs" / "api-server.log"

    def _reloads(self) -> int:
        return self._log().read_text().count(RELOADED)


def instead_of(cluster: str, suffix: str) -> tuple[Cluster, OwnCluster] | None:
    """Start one of two nodes that are soon given up, beside `cluster`; None where the kit makes no clusters."""
    kind, name = parse(cluster)
    provider = providers.find(kind)
    if "throwaway" not in provider.capabilities(name):
        return None
    own = start(f"{name}-{suffix}", nodes=2, profile="fast")
    return Cluster(provider, own.name, own.kubeconfig, None), own


def start(name: str, *, nodes: int = 1, profile: str = "default") -> OwnCluster:
    """Start one, empty: what an earlier run has left under the name goes first."""
    provider = providers.find("glassbox")
    if len(name) > NAME_LENGTH:
        name = f"{name[: NAME_LENGTH - 9].rstrip('-')}-{zlib.crc32(name.encode()):08x}"
    provider.stop(name, purge=True)
    provider.start(name, nodes=nodes, profile=profile, idle_limit=IDLE_SECONDS)
    return OwnCluster(name, provider.kubeconfig(name)[0])
