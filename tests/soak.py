"""Wears a cluster down and counts what is left: pods that come and go, kills at random, a census before and after.

Everything is counted from outside, in /proc and in the state directory, where a leak cannot hide behind the API.
"""

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError
from tests.bench import processes
from tests.embedded import eventually

NAMESPACE = "soak"
NAMESPACES = ("pid", "net", "mnt", "user", "ipc", "uts")
PASSING = ("events", "leases", "endpoints", "endpointslices")  # what comes and goes by itself in the store
QUIET = 180.0  # seconds in which a cluster left alone must be as it should


class Soak:
    """One cluster under wear; what it does at random comes from the seed."""

    def __init__(self, cluster, seed: int):
        self.cluster, self.random = cluster, random.Random(seed)
        self.api = Client.from_kubeconfig(cluster.kubeconfig, user_agent="soak")
        self.machine = int((cluster.root / "machine.pid").read_text())
        self.api.create("namespaces", {"metadata": {"name": NAMESPACE}})
        eventually(lambda: self.api.list("serviceaccounts", NAMESPACE)["items"])

    # -- wear

    def churn(self, pods: int, at_once: int = 100) -> None:
        """Create that many pods and delete them again."""
        for begin in range(0, pods, at_once):
            name = f"churn-{begin}"
            self.api.create("deployments", deployment(name, min(at_once, pods - begin)))
            eventually(lambda: self.available(name), within=QUIET, every=0.2)  # noqa: B023
            self.api.delete("deployments", name, NAMESPACE, propagation_policy="Background")
            eventually(lambda: not self.pods(), within=QUIET, every=0.2)

    def chaos(self, seconds: float, every: float = 0.7) -> Counter:
        """Kill something every moment, all deployments meanwhile wanting their pods; return what was killed."""
        killed: Counter = Counter()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            kill = self.random.choices([self.kill_component, self.kill_pause, self.delete_pod], (1, 2, 3))[0]
            try:
                killed[kill()] += 1
            except (ApiError, ProcessLookupError, IndexError):
                killed["missed"] += 1  # the API server is away, the victim gone already
            time.sleep(self.random.uniform(0, 2 * every))
        return killed

    def kill_component(self) -> str:
        name, pid = self.random.choice(sorted(self.components().items()))
        os.kill(pid, signal.SIGKILL)
        return name.partition("@")[0]

    def kill_pause(self) -> str:
        os.kill(self.random.choice(self.children("pause ")), signal.SIGKILL)
        return "pause"

    def delete_pod(self) -> str:
        victim = self.random.choice(self.pods())["metadata"]["name"]
        grace = self.random.choice([None, 0, 1])
        self.api.delete("pods", victim, NAMESPACE, grace_period_seconds=grace)
        return "pod"

    # -- looks

    def pods(self) -> list[dict]:
        return self.api.list("pods", NAMESPACE)["items"]

    def available(self, name: str) -> bool:
        found = self.api.get("deployments", name, NAMESPACE)
        return found.get("status", {}).get("availableReplicas") == found["spec"]["replicas"]

    def converged(self) -> bool:
        """All nodes ready, all deployments available, no pod more than they want."""
        try:
            wanted = self.api.list("deployments", NAMESPACE)["items"]
            nodes = [c for n in self.api.list("nodes")["items"] for c in n["status"]["conditions"]]
            return (
                all(c["status"] == "True" for c in nodes if c["type"] == "Ready")
                and all(self.available(each["metadata"]["name"]) for each in wanted)
                and len(self.pods()) == sum(each["spec"]["replicas"] for each in wanted)
            )
        except ApiError:
            return False

    def children(self, title: str) -> list[int]:
        pids = [pid for pid in processes.all_pids() if processes.parent_of(pid) == self.machine]
        return sorted(pid for pid in pids if processes.read(pid, "cmdline").decode().startswith(title))

    def components(self) -> dict[str, int]:
        """Component → its process."""
        names = {pid: processes.read(pid, "cmdline").decode() for pid in self.children("labkit ")}
        return {title.split()[1]: pid for pid, title in names.items()}

    def census(self) -> dict[str, int]:
        """What there is of everything that could leak."""
        everyone = [self.machine, *processes.below(self.machine)]
        components = self.components()
        kubelets = [pid for name, pid in components.items() if name.startswith("kubelet")]
        return {
            "processes": len(everyone),
            "namespaces": len({link(pid, kind) for pid in everyone for kind in NAMESPACES} - {""}),
            "mounts": len(processes.read(self.machine, "mountinfo").splitlines()),
            "links": sum(len(processes.read(pid, "net/dev").splitlines()) for pid in (self.machine, *kubelets)),
            "routes": sum(len(processes.read(pid, "net/route").splitlines()) for pid in (self.machine, *kubelets)),
            "addresses": sum(processes.read(pid, "net/fib_trie").count(b"host LOCAL") for pid in kubelets),
            "files": files(self.cluster.root) + files(Path(f"/proc/{self.machine}/root/run/glassbox")),
            "rows": rows(self.cluster.root / "store.db"),
            "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in components.values()),
            "threads": sum(len(os.listdir(f"/proc/{pid}/task")) for pid in components.values()),
            "KiB": processes.pss_bytes([self.machine, *components.values()]) // 1024,
        }

    def leaked(self, before: dict[str, int]) -> dict[str, tuple[int, int]]:
        """What there is more of than before; pools may have grown, and a heap, by what a hundred pods at once need."""
        now = self.census()
        spare = {"descriptors": 40 * len(self.components()), "threads": 20 * len(self.components())}
        spare["KiB"] = before["KiB"] // 4 + 4096 * len(self.components())
        return {what: (before[what], count) for what, count in now.items() if count > before[what] + spare.get(what, 0)}


def deployment(name: str, replicas: int) -> dict:
    labels = {"app": name}
    container = {"name": "c", "image": "busybox:1.36", "command": ["sleep", "3600"]}
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    volumes = [{"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
    spec = {"terminationGracePeriodSeconds": 1, "containers": [{**container, "volumeMounts": mounts}]}
    template = {"metadata": {"labels": labels}, "spec": {**spec, "volumes": volumes}}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def link(pid: int, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def files(directory: Path) -> int:
    """How many files there are below, logs of components and what SQLite keeps beside its file aside."""
    return sum(len(names) for where, _, names in os.walk(directory) if "logs" not in where.split("/")[-2:]) - len(
        list(directory.glob("store.db*"))
    )


def rows(store: Path) -> int:
    """How many objects are current in the store."""
    latest = "SELECT key, deleted, max(revision) FROM revisions GROUP BY key"
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        keys = [key for key, deleted, _ in db.execute(latest) if not deleted]
    return sum(not any(f"/{kind}" in key or key.startswith(kind) for kind in PASSING) for key in keys)
