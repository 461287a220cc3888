"""What a run leaves as data: results.json, written whole after every run, so that nothing is lost when one is killed,
and results.csv, a line a run. What the clusters are, how each run ended, how long each cell took, and which cells say
different things on different clusters (labkit.differences).
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from labkit import __version__, differences, notebook
from labkit.cluster import Cluster
from labkit.worker import Job, Result

RESULTS, TABLE = "results.json", "results.csv"
CAPABILITIES = ("nodes>=2", "network-policy", "ingress")  # those that are found out by asking the API


@dataclass
class Report:
    """A matrix in the making: the jobs, the facts of the clusters, and how runs ended."""

    jobs: Sequence[Job]
    clusters: dict[str, dict[str, Any]]
    results: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Note how a run ended."""
        self.results.append(result)

    def of(self, job: Job) -> Result | None:
        """Return how a job ended, None when it has not run."""
        return next((r for r in self.results if (r.name, r.cluster) == (job.name, job.cluster)), None)

    def missing(self) -> list[Job]:
        """Return the jobs without a result."""
        return [job for job in self.jobs if self.of(job) is None]

    def in_order(self) -> list[Result]:
        """Return the results in the order of the plan."""
        return [result for job in self.jobs if (result := self.of(job))]

    @cached_property
    def executed(self) -> dict[str, dict[str, Any]]:
        """The executed notebooks, by lesson and cluster; ask when all have run."""
        found: dict[str, dict[str, Any]] = {}
        for job in self.jobs:
            result = self.of(job)
            if result is not None and result.cells and Path(job.out).exists():
                found.setdefault(job.name, {})[job.cluster] = notebook.read(Path(job.out))
        return found

    def differences(self) -> list[differences.Difference]:
        """Return the cells that say different things on different clusters."""
        return [each for name, by_cluster in self.executed.items() for each in differences.find(name, by_cluster)]


def cluster_facts(cluster: Cluster, address: str) -> dict[str, Any]:
    """Ask a cluster what it is; raises ClusterError when it does not answer."""
    version = cluster.api.request("GET", "/version")
    nodes = [_node_facts(node) for node in cluster.api.items("nodes")]
    can = sorted(cluster.provider.capabilities(cluster.name)) + [c for c in CAPABILITIES if cluster.can(c)]
    return {"address": address, "provider": cluster.provider.name, "version": version["gitVersion"],
            "nodes": nodes, "can": can}  # fmt: skip


def passed_before(out: Path, jobs: Sequence[Job]) -> list[Result]:
    """Return what has passed in `out` before and is still what would be run now."""
    try:
        stored = json.loads((out / RESULTS).read_text())["runs"]
        known = [Result(**{f.name: each[f.name] for f in fields(Result)}) for each in stored]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # nothing there, or nothing that can be read: all is run
    wanted = {(job.name, job.cluster, job.fingerprint) for job in jobs if Path(job.out).exists()}
    return [each for each in known if each.passed and (each.name, each.cluster, each.fingerprint) in wanted]


def write_json(out: Path, report: Report) -> None:
    """Write everything, whole or not at all."""
    complete = not report.missing()
    content = {
        "kit": __version__,
        "clusters": report.clusters,
        "runs": [asdict(result) for result in report.in_order()],
        "cells": {name: differences.seconds(each) for name, each in report.executed.items()} if complete else {},
        "differences": [asdict(each) for each in report.differences()] if complete else [],
    }
    fresh = out / f".{RESULTS}"
    fresh.write_text(json.dumps(content, indent=1) + "\n")
    fresh.replace(out / RESULTS)


def write_csv(out: Path, report: Report) -> None:
    """Write a line a run."""
    columns = ["cluster", "name", "passed", "seconds", "cells", "cell", "failure"]
    with (out / TABLE).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([getattr(result, column) for column in columns] for result in report.in_order())


def _node_facts(node: dict[str, Any]) -> dict[str, str]:
    capacity, info = node["status"].get("capacity") or {}, node["status"].get("nodeInfo") or {}
    return {"name": node["metadata"]["name"], "cpu": capacity.get("cpu", ""), "memory": capacity.get("memory", ""),
            "system": info.get("osImage", ""), "kernel": info.get("kernelVersion", ""),
            "runtime": info.get("containerRuntimeVersion", "")}  # fmt: skip
