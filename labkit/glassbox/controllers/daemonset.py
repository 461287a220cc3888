"""Keeps one pod of a daemon set on each node that it is meant for, and moves them to a new template node by node.

The controller decides on the nodes and holds each pod to its own; placing them is left to the scheduler. A pod that
failed is replaced, later each time: 1 s, 2 s … 15 min.

Upstream: pkg/controller/daemon/daemon_controller.go, update.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controllers import history
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.claims import claim
from labkit.glassbox.controllers.daemonset_plan import Sight, places, plan, roll, status_of
from labkit.glassbox.controllers.daemonset_pods import node_of, pod_for
from labkit.glassbox.controllers.pod_owner import PodOwnerController

BURST = 250  # pods made or deleted in one round
FIRST_DELAY, LONGEST_DELAY = 1.0, 900.0  # seconds between two replacements of a failed pod on a node


class DaemonSetController(PodOwnerController):
    """One round a set: claim pods and revisions, put the nodes right or roll, report."""

    name = "daemonset-controller"
    workers = 2
    kind, resource = "DaemonSet", "daemonsets"

    def __init__(self, api, cache, recorder):
        self.placing: dict[str, tuple] = {}  # node → what decides whether a daemon's pod belongs there
        self.failures: dict[tuple[str, str], tuple[float, float]] = {}  # (set's UID, node) → last time, delay then
        super().__init__(api, cache, recorder)

    @property
    def watches(self):
        return {**super().watches, "nodes": self.all_if_it_matters}

    def all_if_it_matters(self, node: dict) -> list[str]:
        """A node that came, went or changed its labels or taints concerns every set; a heartbeat none."""
        name, told = objects.name(node), (objects.labels(node), node["spec"].get("taints"))
        is_there = self.cache["nodes"].get(name) is not None
        if is_there and self.placing.get(name) == told:
            return []
        if is_there:
            self.placing[name] = told
        else:
            self.placing.pop(name, None)
        return [objects.key(ds) for ds in self.cache["daemonsets"].list()]

    def sync(self, ds: dict) -> None:
        if objects.is_deleting(ds):
            return
        pods = claim(self.api, ds, "pods", self.cache["pods"].list(objects.namespace(ds)))
        revisions = history.claimed(self.api, ds, self.cache[history.REVISIONS])
        revision, collisions = history.current(self.api, ds, revisions, history.POD_LABEL)
        found = places(ds, self.cache["nodes"].list(), pods)
        sight = Sight(ds, found, objects.labels(revision)[history.POD_LABEL], self.now())
        try:
            self.act(sight, pods)
        finally:
            self.report(ds, status_of(sight, collisions), pods)
        live = [f"{objects.name(ds)}-{objects.labels(pod).get(history.POD_LABEL)}" for pod in pods]
        history.truncate(self.api, ds, revisions, [objects.name(revision), *live])

    def act(self, sight: Sight, pods: list[dict]) -> None:
        make, delete = plan(sight, pods)
        strategy = sight.ds["spec"].get("updateStrategy") or {}
        if not make and not delete and strategy.get("type") != "OnDelete":
            make, delete = roll(sight)
        for pod in delete[:BURST]:
            if podutil.has_not_ended(pod) or self.may_replace(sight.ds, pod):
                self.pods.delete(sight.ds, pod)
        for node in make[:BURST]:
            self.pods.create(sight.ds, pod_for(sight.ds, node, sight.digest))

    def may_replace(self, ds: dict, pod: dict) -> bool:
        """Tell of a pod that has ended, and whether it may be deleted by now; else look again when it may."""
        node = node_of(pod)
        where = f"{objects.namespace(pod)}/{objects.name(pod)} on node {node}"
        if podutil.phase(pod) == "Succeeded":
            message = f"Found succeeded daemon pod {where}, will try to delete it"
            self.recorder.event(ds, "Normal", "SucceededDaemonPod", message)
            return True
        last, delay = self.failures.get((objects.uid(ds), node), (0.0, 0.0))
        if (left := last + delay - self.now()) > 0:
            self.queue.add_after(objects.key(ds), left)
            return False
        delay = min(delay * 2, LONGEST_DELAY) or FIRST_DELAY
        self.failures[objects.uid(ds), node] = self.now(), delay
        message = f"Found failed daemon pod {where}, will try to kill it"
        self.recorder.event(ds, "Warning", "FailedDaemonPod", message)
        return True
