"""Watches over nodes: one whose kubelet is silent becomes Unknown, is tainted, and loses its pods.

A kubelet renews its node's Lease; when that stops for `grace` seconds the node's conditions become Unknown. The taint
follows the Ready condition: not-ready (False), unreachable (Unknown). A pod stays on a tainted node for as long as it
tolerates NoExecute (300 s by default), then it is deleted. A node that has gone takes its pods with it.

Upstream: pkg/controller/nodelifecycle/node_lifecycle_controller.go, pkg/controller/tainteviction, pkg/controller/podgc
"""

from __future__ import annotations

from labkit.glassbox import clock, objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.errors import ApiError

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
GRACE = 40.0  # seconds of silence before a node is Unknown
EVICTIONS = "taint-eviction-controller"


class NodeLifecycleController(Controller):
    """The key is a node."""

    name = "node-controller"

    def __init__(self, api, cache, recorder, grace: float = GRACE):
        self.grace = grace
        self.heard: dict[str, tuple[str, float]] = {}  # node → last renewTime seen, when it was seen by our clock
        super().__init__(api, cache, recorder)

    @property
    def watches(self):
        return {"nodes": itself, "leases": lease_of, "pods": lambda pod: [pod["spec"].get("nodeName", "")]}

    def reconcile(self, key: str) -> None:
        node = self.cache["nodes"].get(key)
        if node is None:
            self.collect_pods(key)
            return
        silent = self.silence(key)
        if silent >= self.grace:
            node = self.mark_unknown(node)
        else:
            self.queue.add_after(key, self.grace - silent + 0.1)
        node = self.taint(node)
        self.evict(node)

    def silence(self, name: str) -> float:
        """Return for how many seconds, by our own clock, the node's lease has not been renewed."""
        lease = self.cache["leases"].get(f"kube-node-lease/{name}")
        renewed, now = (lease["spec"].get("renewTime", "") if lease else ""), self.now()
        if name not in self.heard or self.heard[name][0] != renewed:
            self.heard[name] = (renewed, now)
        return now - self.heard[name][1]

    def mark_unknown(self, node: dict) -> dict:
        conditions = list((node.get("status") or {}).get("conditions") or [])
        changed = conditions
        for type in WATCHED:
            old = objects.condition(node, type)
            if old is not None and old["status"] == "Unknown":
                continue
            changed = objects.set_condition(changed, unknown(type, old, self.now()), self.now())
        if changed == conditions:
            return node
        self.recorder.event(node, "Normal", "NodeNotReady", f"Node {objects.name(node)} status is now: NodeNotReady")
        self.mark_pods_not_ready(objects.name(node))
        return self.api.update_status("nodes", {**node, "status": {**node["status"], "conditions": changed}})

    def mark_pods_not_ready(self, node: str) -> None:
        for pod in self.pods_on(node):
            if objects.is_true(pod, "Ready"):
                conditions = objects.set_condition(
                    pod["status"]["conditions"], {"type": "Ready", "status": "False", "lastProbeTime": None}, self.now()
                )
                self._ignoring_gone(
                    self.api.update_status, "pods", {**pod, "status": {**pod["status"], "conditions": conditions}}
                )

    def taint(self, node: dict) -> dict:
        """Have the node's taints say what its conditions and spec.unschedulable say."""
        taints = node["spec"].get("taints") or []
        wanted = wanted_taints(node, taints, clock.rfc3339(self.now()))
        if wanted == taints:
            return node
        patch = {
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": wanted or None},
        }
        return self.api.patch("nodes", objects.name(node), None, patch)

    # -- pods

    def pods_on(self, node: str) -> list[dict]:
        return [pod for pod in self.cache["pods"].list() if pod["spec"].get("nodeName") == node]

    def evict(self, node: dict) -> None:
        taints = [taint for taint in node["spec"].get("taints") or [] if taint["effect"] == "NoExecute"]
        if not taints:
            return
        for pod in self.pods_on(objects.name(node)):
            if objects.is_deleting(pod):
                continue
            left = seconds_tolerated(pod, taints, self.now())
            if left is None:
                continue
            if left > 0:
                self.queue.add_after(objects.name(node), left + 0.05)
                continue
            self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {objects.key(pod)}")
            self._ignoring_gone(
                self.api.delete, "pods", objects.name(pod), objects.namespace(pod), uid=objects.uid(pod)
            )

    def collect_pods(self, node: str) -> None:
        """The node has gone, and so has all that ran on it."""
        self.heard.pop(node, None)
        for pod in self.pods_on(node) if node else []:
            self._ignoring_gone(
                self.api.delete,
                "pods",
                objects.name(pod),
                objects.namespace(pod),
                uid=objects.uid(pod),
                grace_period_seconds=0,
            )

    def _ignoring_gone(self, write, *arguments, **options) -> None:
        try:
            write(*arguments, **options)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def lease_of(lease: dict) -> list[str]:
    """A kubelet's lease concerns its node; renewals come often and are only looked at when they are missed."""
    return [objects.name(lease)] if objects.namespace(lease) == "kube-node-lease" else []


def unknown(type: str, old: dict | None, now: float) -> dict:
    heartbeat = {"lastHeartbeatTime": old["lastHeartbeatTime"]} if old and "lastHeartbeatTime" in old else {}
    if old is None:
        reason, message = "NodeStatusNeverUpdated", "Kubelet never posted node status."
    else:
        reason, message = "NodeStatusUnknown", "Kubelet stopped posting node status."
    return {"type": type, "status": "Unknown", "reason": reason, "message": message, **heartbeat}


def wanted_taints(node: dict, taints: list[dict], now: str) -> list[dict]:
    """Return the node's taints with those that follow from its state, each with both effects."""
    ready = (objects.condition(node, "Ready") or {}).get("status", "Unknown")
    keys = {"True": [], "False": [NOT_READY], "Unknown": [UNREACHABLE]}[ready]
    wanted = [(key, effect) for key in keys for effect in ("NoSchedule", "NoExecute")]
    if node["spec"].get("unschedulable"):
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    ours = (NOT_READY, UNREACHABLE, UNSCHEDULABLE)
    kept = [each for each in taints if each["key"] not in ours or (each["key"], each["effect"]) in wanted]
    there = {(each["key"], each["effect"]) for each in kept}
    missing = [{"key": key, "effect": effect, "timeAdded": now} for key, effect in wanted if (key, effect) not in there]
    return kept + missing


def seconds_tolerated(pod: dict, taints: list[dict], now: float) -> float | None:
    """Return for how much longer the pod may stay: None for ever, 0 or less not at all."""
    shortest = None
    for taint in taints:
        matching = [each for each in pod["spec"].get("tolerations") or [] if tolerates(each, taint)]
        if not matching:
            return 0
        limits = [each["tolerationSeconds"] for each in matching if "tolerationSeconds" in each]
        if limits:
            since = clock.parse(taint["timeAdded"]) if taint.get("timeAdded") else now
            left = since + min(limits) - now
            shortest = left if shortest is None else min(shortest, left)
    return shortest


def tolerates(toleration: dict, taint: dict) -> bool:
    """Tell whether a toleration matches a taint."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")
