"""`make bench`: the embedded cluster's figures on this machine, as medians of repeated runs.

Prints a Markdown table; `--write` puts it into README.md between its markers. A cluster of its own is used, in a
folder of its own, and removed.
"""

import argparse
import asyncio
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.bench import api_load, generators, grading, services
from tests.bench.processes import cpu_seconds, descendants, pss_bytes

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


class Cluster:
    """The `labkit` command on a cluster of the bench's own."""

    def __init__(self, home: Path, name: str = "bench"):
        self.name = name
        self.environment = os.environ | {"LABKIT_HOME": str(home), "KUBECTL_KUBERC": "false"}

    def labkit(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "labkit", *arguments, "--name", self.name]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def up(self, *options: str) -> float:
        started = time.perf_counter()
        self.labkit("up", *options)
        elapsed = time.perf_counter() - started
        self.kubeconfig = Path(self.labkit("kubeconfig").strip())
        return elapsed

    def down(self) -> None:
        self.labkit("down", "--purge")

    def kubectl(self, *arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("kubectl")), "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def timed(self, *commands: list[str]) -> float:
        started = time.perf_counter()
        for command in commands:
            self.kubectl(*command)
        return time.perf_counter() - started


def run_to_running(cluster: Cluster, number: int) -> float:
    """Seconds from `kubectl run` to the moment at which a watch shows the pod Running."""
    name = f"one-{number}"
    running = ["wait", "--for=jsonpath={.status.phase}=Running", f"pod/{name}", "--timeout=60s"]
    elapsed = cluster.timed(["run", name, "--image=busybox:1.36", "--", "sleep", "3600"], running)
    cluster.kubectl("delete", "pod", name, "--now")
    return elapsed


def exec_round_trip(cluster: Cluster, runs: int) -> float:
    """Seconds that `kubectl exec` of a command that does nothing takes."""
    cluster.kubectl("run", "target", "--image=busybox:1.36", "--", "sleep", "3600")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/target", "--timeout=60s")
    elapsed = median(cluster.timed(["exec", "target", "--", "true"]) for _ in range(3 * runs))
    cluster.kubectl("delete", "pod", "target", "--now")
    return elapsed


def replicas_to_ready(cluster: Cluster, number: int, replicas: int) -> float:
    name = f"many-{number}"
    cluster.kubectl("create", "deployment", name, "--image=busybox:1.36", "--replicas=0", "--", "sleep", "3600")
    elapsed = cluster.timed(
        ["scale", "deployment", name, f"--replicas={replicas}"],
        ["rollout", "status", f"deployment/{name}", "--timeout=120s"],
    )
    remove(cluster, name)
    return elapsed


def remove(cluster: Cluster, name: str) -> None:
    """Delete a deployment and its pods, which sleep and would ignore SIGTERM for all of their grace."""
    cluster.kubectl("delete", "deployment", name)
    cluster.kubectl("delete", "pod", "-l", f"app={name}", "--now")


def deletion(cluster: Cluster, number: int) -> float:
    """Seconds from `kubectl delete` of a pod that ignores SIGTERM, with a grace of one second, until it is gone."""
    name = f"gone-{number}"
    cluster.kubectl("run", name, "--image=busybox:1.36", "--", "sleep", "3600")
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    return cluster.timed(["delete", "pod", name, "--grace-period=1"])


def rolling_update(cluster: Cluster, number: int, replicas: int = 20) -> float:
    """Seconds that all pods of a deployment take to be replaced by new ones, with upstream's default strategy."""
    name = f"rolls-{number}"
    image = ["--image=busybox:1.36", f"--replicas={replicas}", "--", "sleep", "3600"]
    cluster.kubectl("create", "deployment", name, *image)
    status = ["rollout", "status", f"deployment/{name}", "--timeout=120s"]
    cluster.kubectl(*status)
    elapsed = cluster.timed(["set", "env", f"deployment/{name}", "A=1"], status)
    remove(cluster, name)
    return elapsed


def cost_of_pods(cluster: Cluster, counts: tuple[int, ...] = (10, 100, 300)) -> list[tuple[str, str]]:
    """What all of a cluster's processes cost, the pods' too, while so many pods sleep on its three nodes."""
    cluster.kubectl("create", "deployment", "crowd", "--image=busybox:1.36", "--replicas=0", "--", "sleep", "3600")
    rows = []
    for count in counts:
        cluster.kubectl("scale", "deployment", "crowd", f"--replicas={count}")
        cluster.kubectl("rollout", "status", "deployment/crowd", "--timeout=300s")
        time.sleep(5)
        memory, cpu = idle(cluster)
        rows.append((f"with {count} pods on 3 nodes", f"{memory:,.0f} MiB, {cpu:.1f} % of a core"))
    remove(cluster, "crowd")
    return rows


def measure_three_nodes(cluster: Cluster, runs: int) -> list[tuple[str, str]]:
    many = median(replicas_to_ready(cluster, number, 100) for number in range(runs))
    rolls = median(rolling_update(cluster, number) for number in range(runs))
    return [
        ("Deployment of 100 on 3 nodes to all Ready", f"{many:.1f} s"),
        ("rolling update of 20 replicas", f"{rolls:.1f} s"),
        *cost_of_pods(cluster),
    ]


def idle(cluster: Cluster, seconds: float = 10) -> tuple[float, float]:
    """(PSS in MiB, CPU in percent of a core) of all of the cluster's processes while nobody asks for anything."""
    pids = descendants(marker=cluster.environment["LABKIT_HOME"])
    before = cpu_seconds(pids)
    time.sleep(seconds)
    return pss_bytes(pids) / MIB, 100 * (cpu_seconds(pids) - before) / seconds


def measure(runs: int) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as home:
        cluster = Cluster(Path(home))
        ups = []
        for _ in range(runs):
            ups.append(cluster.up())
            cluster.down()
        rows = [("`labkit up` to both nodes Ready", f"{median(ups):.2f} s")]
        for options, part in ((), measure_running), (("--nodes", "3"), measure_three_nodes):
            cluster.up(*options)
            try:
                rows += part(cluster, runs)
            finally:
                cluster.down()
        return rows


def measure_running(cluster: Cluster, runs: int) -> list[tuple[str, str]]:
    time.sleep(5)
    memory, cpu = idle(cluster)
    one = median(run_to_running(cluster, number) for number in range(runs))
    gone = median(deletion(cluster, number) for number in range(runs))
    execs = exec_round_trip(cluster, runs)
    many = median(replicas_to_ready(cluster, number, 50) for number in range(runs))
    loads = [asyncio.run(api_load.measure(cluster.kubeconfig, f"bench-{number}")) for number in range(runs)]
    return [
        ("`kubectl run` to Running", f"{one:.2f} s"),
        ("`kubectl delete` with a grace of 1 s to gone", f"{gone:.1f} s"),
        ("`kubectl exec` of `true`", f"{execs:.2f} s"),
        ("Deployment of 50 to all Ready", f"{many:.1f} s"),
        ("idle memory of all processes (PSS)", f"{memory:.0f} MiB"),
        ("idle CPU of all processes", f"{cpu:.2f} % of a core"),
        *((f"API: {operation}", line([load[operation] for load in loads])) for operation in loads[0]),
    ]


def line(results: list[dict]) -> str:
    failures = sum(result["failures"] for result in results)
    parts = [f"{median(result['per_second'] for result in results):,.0f}/s"] if "per_second" in results[0] else []
    parts.append(f"p50 {median(result['p50_ms'] for result in results):.1f} ms")
    return ", ".join(parts) + (f", {failures} failed" if failures else "")


def table(rows: list[tuple[str, str]], runs: int) -> str:
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    lines = [f"| on {machine} | median of {runs} |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    text = table([*measure(options.runs), *services.measure(), *generators.measure(), *grading.measure()], options.runs)
    print(text)
    if options.write:
        readme = ROOT / "README.md"
        pattern = r"(<!-- bench -->\n).*?(<!-- /bench -->)"
        readme.write_text(
            re.sub(pattern, lambda found: f"{found[1]}{text}\n{found[2]}", readme.read_text(), flags=re.S)
        )


if __name__ == "__main__":
    main()
