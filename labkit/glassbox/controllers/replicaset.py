"""Keeps as many pods of a replica set alive as its spec says. The reconcile loop that everybody should have read once.

Pods belong to a replica set by their owner reference (a UID), not by their name: one whose labels match and that has no
controller is adopted, one whose labels stopped matching is released, and then there is one too few.

`PodOwnerController` calls sync() with a set whenever the set or one of its pods has changed, and its copy of the pods
shows all that the last round did.

Upstream: pkg/controller/replicaset/replica_set.go, pkg/controller/controller_utils.go
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.claims import claim
from labkit.glassbox.controllers.pod_owner import PodOwnerController
from labkit.glassbox.errors import ApiError

BURST = 500  # pods made or deleted in one round


@dataclass(frozen=True)
class Failure:
    """Why pods could not be made or deleted."""

    reason: str
    error: ApiError


class ReplicaSetController(PodOwnerController):
    """One round a set: claim what belongs to it, make what is missing, delete what is too much, report."""

    name = "replicaset-controller"
    workers = 5
    kind, resource = "ReplicaSet", "replicasets"
    counts_terminating = True

    def sync(self, rs: dict) -> None:
        active = [pod for pod in self.cache["pods"].list(objects.namespace(rs)) if podutil.is_active(pod)]
        pods = claim(self.api, rs, "pods", active)
        failure = None if objects.is_deleting(rs) else self.act(rs, pods)
        terminating = self.terminating(rs) if self.counts_terminating else None
        self.report(rs, status_of(rs, pods, terminating, self.now(), failure), pods)
        if failure:
            raise failure.error

    def act(self, rs: dict, pods: list[dict]) -> Failure | None:
        """Make what is missing, delete what is too much; return what kept it from that."""
        missing, surplus = plan(rs, pods)
        try:
            for _ in range(min(missing, BURST)):
                self.pods.create(rs, podutil.from_template(rs, rs["spec"]["template"]))
            for pod in surplus[:BURST]:
                self.pods.delete(rs, pod)
        except ApiError as error:
            return Failure("FailedCreate" if missing else "FailedDelete", error)
        return None

    def terminating(self, rs: dict) -> int:
        return sum(map(podutil.is_terminating, self.cache["pods"].owned_by(objects.uid(rs))))


def plan(rs: dict, pods: list[dict]) -> tuple[int, list[dict]]:
    """Return how many pods are missing and which are too many, those first that would be missed least."""
    wanted = rs["spec"].get("replicas", 1)
    surplus = len(pods) - wanted
    if surplus <= 0:
        return -surplus, []
    return 0, podutil.least_missed(pods)[:surplus]


def status_of(rs: dict, pods: list[dict], terminating: int | None, now: float, failure: Failure | None = None) -> dict:
    """Return the set's status: how many pods there are, ready, available, and on their way out; what failed."""
    labels = rs["spec"]["template"].get("metadata", {}).get("labels") or {}
    ready = [pod for pod in pods if objects.is_true(pod, "Ready")]
    counts = {
        "fullyLabeledReplicas": sum(labels.items() <= objects.labels(pod).items() for pod in pods),
        "readyReplicas": len(ready),
        "availableReplicas": sum(podutil.is_available(pod, podutil.min_ready(rs), now) for pod in ready),
    }
    status = {"replicas": len(pods), **{key: count for key, count in counts.items() if count}}
    status |= {} if terminating is None else {"terminatingReplicas": terminating}
    status["observedGeneration"] = rs["metadata"].get("generation", 0)
    if conditions := conditions_of(rs, failure, now):
        status["conditions"] = conditions
    return status


def conditions_of(rs: dict, failure: Failure | None, now: float) -> list[dict]:
    """Return the set's conditions: ReplicaFailure stands, as first told, until a round succeeds."""
    held = (rs.get("status") or {}).get("conditions") or []
    if failure is None:
        return [each for each in held if each["type"] != "ReplicaFailure"]
    if any(each["type"] == "ReplicaFailure" for each in held):
        return held
    new = {"type": "ReplicaFailure", "status": "True", "reason": failure.reason, "message": failure.error.message}
    return objects.set_condition(held, new, now)
