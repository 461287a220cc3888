"""Watches over nodes: one whose kubelet is silent becomes Unknown, is tainted, and loses its pods.

A kubelet renews its node's Lease; when that stops for `grace` seconds the node's conditions become Unknown. Taints
follow the conditions: not-ready (Ready is False), unreachable (Unknown), and one for each kind of pressure. A pod stays
on a tainted node for as long as it tolerates NoExecute (300 s by default), then it is deleted.

Silence while the API server itself is away is nobody's: the count starts anew.

Left out: eviction rates by zone.

Upstream: pkg/controller/nodelifecycle/node_lifecycle_controller.go, pkg/controller/tainteviction,
pkg/controller/nodeipam, pkg/controller/ttl
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import clock, objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.controllers.pod_gc import mark_disrupted
from labkit.glassbox.errors import ApiError
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.taints import tolerates

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
TTL = "node.alpha.kubernetes.io/ttl"
RANGES_BY_HAND = [f"10.244.{i}.0/24" for i in range(201, 256)]  # those below are the cluster's own nodes'
GRACE = 50.0  # seconds of silence before a node is Unknown
EVICTIONS, TAINT_EVICTION = "taint-eviction-controller", "Taint manager: deleting due to NoExecute taint"


class NodeLifecycleController(Controller):
    """The key is a node."""

    name = "node-controller"

    def __init__(self, api, cache, recorder, grace: float = GRACE):
        self.grace = grace
        self.given: set[str] = set()  # pod ranges that the cache does not show yet
        self.heard: dict[str, tuple[str, float]] = {}  # node → last renewTime seen, when it was seen by our clock
        self.ready: set[str] = set()  # nodes that were ready when last looked at
        self.known: set[str] = set()  # the uids of nodes that have been told of
        self.evictions = EventRecorder(api, EVICTIONS)
        super().__init__(api, cache, recorder)

    @property
    def watches(self):
        return {"nodes": itself, "leases": lease_of, "pods": node_of}

    def reconcile(self, key: str) -> None:
        node = self.cache["nodes"].get(key)
        if node is None:
            self.heard.pop(key, None)
            self.ready.discard(key)
            return
        if objects.uid(node) not in self.known:
            self.known.add(objects.uid(node))
            told = f"Node {key} event: Registered Node {key} in Controller"
            self.recorder.event(node, "Normal", "RegisteredNode", told)
        node = self.complete(node)
        silent = self.silence(key)
        if silent >= self.grace:
            node = self.mark_unknown(node)
        else:
            self.queue.add_after(key, self.grace - silent + 0.1)
        self.note_readiness(node)
        self.evict(self.taint(node))

    def complete(self, node: dict) -> dict:
        """Give a node that somebody made by hand its pod range, and say how long its kubelet may keep objects."""
        lacks: dict = {}
        if TTL not in objects.annotations(node):
            lacks["metadata"] = {"annotations": {TTL: "0"}}
        if not node["spec"].get("podCIDR"):
            shown = {each["spec"].get("podCIDR") for each in self.cache["nodes"].list()}
            self.given -= shown  # so that a node's range is free again when it is gone
            free = next((cidr for cidr in RANGES_BY_HAND if cidr not in shown | self.given), None)
            if free:
                self.given.add(free)
                lacks["spec"] = {"podCIDR": free, "podCIDRs": [free]}
        return self.api.patch("nodes", objects.name(node), None, lacks) if lacks else node

    def silence(self, name: str) -> float:
        """Return for how many seconds, by our own clock, the node's lease has not been renewed."""
        lease = self.cache["leases"].get(f"kube-node-lease/{name}")
        silent = self.since_heard(name, lease)
        if silent < self.grace:
            return silent
        try:
            return self.since_heard(name, self.api.get("leases", name, "kube-node-lease"))
        except ApiError as error:
            if error.code == 404:
                return silent
            self.heard.pop(name)
            raise

    def since_heard(self, name: str, lease: dict | None) -> float:
        renewed, now = (lease["spec"].get("renewTime", "") if lease else ""), self.now()
        if name not in self.heard or self.heard[name][0] != renewed:
            self.heard[name] = (renewed, now)
        return now - self.heard[name][1]

    def mark_unknown(self, node: dict) -> dict:
        status = node.get("status") or {}
        changed = status.get("conditions") or []
        for type in WATCHED:
            old = objects.condition(node, type)
            if old is None or old["status"] != "Unknown":
                changed = objects.set_condition(changed, unknown(type, old), self.now())
        if changed == (status.get("conditions") or []):
            return node
        return self.api.update_status("nodes", {**node, "status": {**status, "conditions": changed}})

    def note_readiness(self, node: dict) -> None:
        """A node that stops being ready is told of, and so are its pods."""
        name = objects.name(node)
        if objects.is_true(node, "Ready"):
            self.ready.add(name)
        elif name in self.ready:
            self.mark_pods_not_ready(name)
            self.ready.remove(name)
            self.recorder.event(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")

    def mark_pods_not_ready(self, node: str) -> None:
        new = {"type": "Ready", "status": "False", "lastTransitionTime": clock.rfc3339(self.now())}
        for pod in self.pods_on(node):
            if objects.is_true(pod, "Ready"):
                patch = {"metadata": {"uid": objects.uid(pod)}, "status": {"conditions": [new]}}
                where = objects.name(pod), objects.namespace(pod)
                self._ignoring_gone(self.api.patch, "pods", *where, patch, kind="strategic", subresource="status")
                self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    def taint(self, node: dict) -> dict:
        """Have the node's taints say what its conditions and spec.unschedulable say."""
        taints = node["spec"].get("taints") or []
        wanted = wanted_taints(node, taints, clock.rfc3339(self.now()))
        if wanted == taints:
            return node
        # The resource version is a precondition: the list is replaced as it was read.
        metadata = {"resourceVersion": node["metadata"]["resourceVersion"]}
        patch = {"metadata": metadata, "spec": {"taints": wanted or None}}
        return self.api.patch("nodes", objects.name(node), None, patch)

    # -- pods

    def pods_on(self, node: str) -> list[dict]:
        return [pod for pod in self.cache["pods"].list() if pod["spec"].get("nodeName") == node]

    def evict(self, node: dict) -> None:
        """Delete the pods that do not tolerate the node's NoExecute taints, or not any longer."""
        taints = [taint for taint in node["spec"].get("taints") or [] if taint["effect"] == "NoExecute"]
        for pod in self.pods_on(objects.name(node)) if taints else []:
            left = seconds_tolerated(pod, taints, self.now())
            if objects.is_deleting(pod) or left is None:
                continue
            if left > 0:
                self.queue.add_after(objects.name(node), left + 0.05)
                continue
            mark_disrupted(self.api, pod, "DeletionByTaintManager", TAINT_EVICTION, self.now())
            self.evictions.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {objects.key(pod)}")
            self.delete(pod)

    def delete(self, pod: dict) -> None:
        where = objects.name(pod), objects.namespace(pod)
        self._ignoring_gone(self.api.delete, "pods", *where, uid=objects.uid(pod))

    def _ignoring_gone(self, write, *arguments, **options) -> None:
        try:
            write(*arguments, **options)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def node_of(pod: dict) -> list[str]:
    return [pod["spec"]["nodeName"]] if pod["spec"].get("nodeName") else []


def lease_of(lease: dict) -> list[str]:
    """A kubelet's lease concerns its node; renewals come often and are only looked at when they are missed."""
    return [objects.name(lease)] if objects.namespace(lease) == "kube-node-lease" else []


def unknown(type: str, old: dict | None) -> dict:
    heartbeat = {"lastHeartbeatTime": old["lastHeartbeatTime"]} if old and "lastHeartbeatTime" in old else {}
    if old is None:
        reason, message = "NodeStatusNeverUpdated", "Kubelet never posted node status."
    else:
        reason, message = "NodeStatusUnknown", "Kubelet stopped posting node status."
    return {"type": type, "status": "Unknown", "reason": reason, "message": message, **heartbeat}


def wanted_taints(node: dict, taints: list[dict], now: str) -> list[dict]:
    """Return the node's taints with those that follow from its state, and without those that no longer do."""
    wanted = set(taints_of(node))
    ours = {NOT_READY, UNREACHABLE, UNSCHEDULABLE, *PRESSURES.values()}
    kept = [each for each in taints if each["key"] not in ours or (each["key"], each["effect"]) in wanted]
    missing = wanted - {(each["key"], each["effect"]) for each in kept}
    return kept + [{"key": key, "effect": effect, "timeAdded": now} for key, effect in sorted(missing, reverse=True)]


def taints_of(node: dict) -> Iterator[tuple[str, str]]:
    """Yield (key, effect) of the taints that follow from the node's conditions and spec."""
    ready = objects.condition(node, "Ready")
    if ready is None:
        yield NOT_READY, "NoSchedule"  # not heard of yet: nothing is evicted for it
    elif ready["status"] != "True":
        key = NOT_READY if ready["status"] == "False" else UNREACHABLE
        yield from ((key, effect) for effect in ("NoSchedule", "NoExecute"))
    for type, key in PRESSURES.items():
        if objects.is_true(node, type):
            yield key, "NoSchedule"
    if node["spec"].get("unschedulable"):
        yield UNSCHEDULABLE, "NoSchedule"


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
