"""Deletes pods that nobody else will: of nodes that are gone or given up, and ended ones beyond a number.

A pod is marked Failed before it is deleted by force: nothing runs any more that would say so. A node that has gone is
waited for, it may only not be known yet; one that is not ready and carries the out-of-service taint has been given up
by its administrator.

Upstream: pkg/controller/podgc/gc_controller.go
"""

from __future__ import annotations

from labkit.glassbox import clock, objects
from labkit.glassbox.client import Client
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.errors import ApiError

EVERYWHERE = ""  # the key for pods without regard to a node
PERIOD = 20.0  # seconds between looks everywhere
QUARANTINE = 40.0  # seconds before the pods of a node that is not there are deleted
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
TERMINATED_PODS = 12500  # how many ended pods are kept


class PodGarbageCollector(Controller):
    """The key is a node, or EVERYWHERE."""

    name = "pod-garbage-collector-controller"

    def __init__(self, api, cache, recorder, threshold: int = TERMINATED_PODS):
        self.threshold = threshold
        self.missed: dict[str, float] = {}  # node that is not there → since when, by our clock
        super().__init__(api, cache, recorder)
        self.queue.add(EVERYWHERE)

    @property
    def watches(self):
        return {"nodes": itself, "pods": lambda pod: [node] if (node := pod["spec"].get("nodeName")) else []}

    def reconcile(self, key: str) -> None:
        if key == EVERYWHERE:
            self.queue.add_after(key, PERIOD)
            self.collect([*surplus(self.cache["pods"].list(), self.threshold), *self.unscheduled()])
        elif node := self.cache["nodes"].get(key):
            self.missed.pop(key, None)
            if is_given_up(node):
                self.collect([pod for pod in self.pods_on(key) if objects.is_deleting(pod)])
        else:
            self.collect_orphans(key)

    def pods_on(self, node: str) -> list[dict]:
        return [pod for pod in self.cache["pods"].list() if pod["spec"].get("nodeName") == node]

    def unscheduled(self) -> list[dict]:
        pods = self.cache["pods"].list()
        return [pod for pod in pods if objects.is_deleting(pod) and not pod["spec"].get("nodeName")]

    def collect_orphans(self, node: str) -> None:
        orphans = self.pods_on(node)
        if not orphans:
            self.missed.pop(node, None)
            return
        left = self.missed.setdefault(node, self.now()) + QUARANTINE - self.now()
        if left > 0:
            self.queue.add_after(node, left + 0.05)
        else:
            self.collect(orphans, "PodGC: node no longer exists")

    def collect(self, pods: list[dict], why: str = "") -> None:
        for pod in pods:
            phase = {"phase": "Failed"} if podutil.has_not_ended(pod) else {}
            if why:
                mark_disrupted(self.api, pod, "DeletionByPodGC", why, self.now(), phase)
            elif phase:
                patch_status(self.api, pod, phase)
            try:
                where = objects.name(pod), objects.namespace(pod)
                self.api.delete("pods", *where, uid=objects.uid(pod), grace_period_seconds=0)
            except ApiError as error:
                if error.code not in (404, 409):
                    raise


def surplus(pods: list[dict], threshold: int) -> list[dict]:
    """Return the oldest of the pods that have ended, beyond the threshold."""
    ended = [pod for pod in pods if not podutil.has_not_ended(pod)]
    ended.sort(key=lambda pod: (pod["metadata"]["creationTimestamp"], objects.name(pod)))
    return ended[: max(0, len(ended) - threshold)]


def is_given_up(node: dict) -> bool:
    taints = node["spec"].get("taints") or []
    return not objects.is_true(node, "Ready") and any(taint["key"] == OUT_OF_SERVICE for taint in taints)


def mark_disrupted(api: Client, pod: dict, reason: str, message: str, now: float, more: dict | None = None) -> None:
    """Write into the pod's status why it is about to be deleted: what a job's pod failure policy may ask for."""
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": clock.rfc3339(now),
    }
    patch_status(api, pod, {"conditions": [condition], **(more or {})})


def patch_status(api: Client, pod: dict, status: dict) -> None:
    patch = {"metadata": {"uid": objects.uid(pod)}, "status": status}
    try:
        api.patch("pods", objects.name(pod), objects.namespace(pod), patch, kind="strategic", subresource="status")
    except ApiError as error:
        if error.code not in (404, 409):  # it is gone, another has its name
            raise
