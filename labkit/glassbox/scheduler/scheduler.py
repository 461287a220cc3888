"""One pod at a time: filter the nodes, score what is left, settle its volumes, bind.

    queue → filter → score → assume → volumes → bind
              └→ nothing fits: take less important pods away, or say why

The most important pod comes first. The chosen node is *assumed*: the pod counts as there before the copy shows it, so
that the next one is not put on the same last free space. A pod that fits nowhere is *unschedulable*: it waits until
something changes that could help it (a node, a pod, a claim), and at least a second between two tries. A pod for which
others had to leave is *nominated*: its place is kept from those that are not more important.

Invariants: `nodes` and `unschedulable` are read and written under one lock, and that a pod fits nowhere is noted under
the same hold of it as the nodes were looked at; so no change falls between the look and the note.

Left out: what filters.unimplemented names; profiles, extenders, pod groups.

Upstream: pkg/scheduler/schedule_one.go, pkg/scheduler/backend/queue
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from labkit.glassbox import objects
from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import inform
from labkit.glassbox.scheduler import preemption, volumes
from labkit.glassbox.scheduler.choice import Choice, best, explain, sentence
from labkit.glassbox.scheduler.cycle import Cycle, Storage
from labkit.glassbox.scheduler.nodes import NodeInfo, priority
from labkit.glassbox.scheduler.preemption import Candidate
from labkit.glassbox.scheduler.reasons import Reason
from labkit.glassbox.workqueue import WorkQueue

log = logging.getLogger(__name__)

NAME = "default-scheduler"
MOST_OFTEN = 1.0  # seconds between two looks at a pod that fitted nowhere
STORAGE = ("persistentvolumeclaims", "persistentvolumes", "storageclasses")
WATCHED = ("nodes", "pods", "namespaces", *STORAGE)


@dataclass(frozen=True)
class Settling:
    """A pod whose claims are being settled for the node that it is assumed on."""

    uid: str
    node: str
    asked: Mapping[str, int] = field(default_factory=dict)  # claims to provision, in which version


@dataclass(frozen=True)
class Waiting:
    """An unschedulable pod: what it asked for, and when that was last tried."""

    spec: dict
    tried: float


class Scheduler:
    """Schedules the pods whose schedulerName is `name`."""

    def __init__(self, api: Client, recorder: EventRecorder, *, name: str = NAME, seed: int | None = None):
        self.api, self.recorder, self.name = api, recorder, name
        self.random = random.Random(seed)
        self.queue = WorkQueue(rank=self.rank)
        self.lock = threading.Lock()
        self.nodes: dict[str, NodeInfo] = {}
        self.unschedulable: dict[str, Waiting] = {}
        self.nominated: dict[str, tuple[dict, str]] = {}  # by UID: a pod, the node on which place is made for it
        self.settling: dict[str, Settling] = {}  # by key
        self.cache = inform(api, *WATCHED)
        self.cache["nodes"].handlers.append(self.on_node)
        self.cache["pods"].handlers.append(self.on_pod)
        for kind in STORAGE:
            self.cache[kind].handlers.append(self.on_storage)

    def start(self) -> None:
        """Start following the API and scheduling, in threads."""
        for informer in self.cache.values():
            informer.start()
        threading.Thread(target=self._work, name="scheduler", daemon=True).start()

    def rank(self, key: Hashable) -> int:
        pod = self.cache["pods"].get(str(key))
        return -priority(pod) if pod else 0

    # -- what changes

    def on_node(self, type: str, node: dict) -> None:
        with self.lock:
            info = self.nodes.setdefault(objects.name(node), NodeInfo())
            before, info.node = info.node, {} if type == "DELETED" else node
            # A kubelet reports every few seconds; mostly nothing has changed that a pod could ask for.
            if info.node and what_pods_ask_for(before) != what_pods_ask_for(node):
                self.look_again()

    def on_pod(self, type: str, pod: dict) -> None:
        key, node = objects.key(pod), pod["spec"].get("nodeName")
        with self.lock:
            waiting = self.unschedulable.get(key)
            if type == "DELETED" or node:
                self.unschedulable.pop(key, None)
                self.nominated.pop(objects.uid(pod), None)
            if node:
                self.account(type, pod, node)
            elif type == "DELETED":
                self.forget(pod)
            else:
                self.note_nomination(pod)
                if self.is_mine(pod) and (waiting is None or waiting.spec != pod["spec"]):
                    self.queue.add(key)

    def note_nomination(self, pod: dict) -> None:
        """Keep the place that was made for a pod, also by an earlier scheduler. The caller holds the lock."""
        if node := (pod.get("status") or {}).get("nominatedNodeName"):
            self.nominated[objects.uid(pod)] = (pod, node)

    def on_storage(self, type: str, obj: dict) -> None:
        with self.lock:
            self.look_again()
            for key in self.settling:
                self.queue.add(key)

    def account(self, type: str, pod: dict, node: str) -> None:
        """Keep a node's books; coming or leaving may help another. The caller holds the lock."""
        info = self.nodes.setdefault(node, NodeInfo())
        before = info.pods.get(objects.uid(pod))
        if type != "DELETED" and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            info.add(pod)
            if before is None or objects.labels(before) != objects.labels(pod):
                self.look_again()
        elif info.remove(objects.uid(pod)):
            self.look_again()

    def forget(self, pod: dict) -> None:
        """Give back what was assumed for a pod. The caller holds the lock."""
        held = self.settling.pop(objects.key(pod), None)
        if held and self.nodes[held.node].remove(held.uid):
            self.look_again()

    def look_again(self) -> None:
        """Have the unschedulable pods tried again. The caller holds the lock."""
        now = time.monotonic()
        for key, waiting in self.unschedulable.items():
            self.queue.add_after(key, max(0.0, waiting.tried + MOST_OFTEN - now))

    def is_mine(self, pod: dict) -> bool:
        return pod["spec"].get("schedulerName", NAME) == self.name and not objects.is_deleting(pod)

    # -- one pod

    def _work(self) -> None:
        for informer in self.cache.values():
            informer.wait_for_sync()
        while (key := self.queue.get()) is not None:
            try:
                self.schedule(str(key))
                self.queue.forget(key)
            except ApiError as error:
                log.info("%s: %s; again in %.2f s", key, error.message, self.queue.retry(key))
            except Exception:
                log.exception("%s: again in %.2f s", key, self.queue.retry(key))
            self.queue.done(key)

    def schedule(self, key: str) -> None:
        pod = self.cache["pods"].get(key)
        if pod is None or pod["spec"].get("nodeName") or not self.is_mine(pod):
            return None
        if pod["spec"].get("schedulingGates"):
            return None  # whoever set them removes them; that changes the pod
        if key in self.settling:
            return self.settle(pod)
        choice = self.choose(pod)
        if choice is None:
            return None
        return self.take(pod, choice) if choice.node else self.make_room(pod, choice)

    def cycle(self, pod: dict) -> Cycle:
        """Return the cluster as the pod is to see it. The caller holds the lock."""
        nodes = {name: info for name, info in self.nodes.items() if info.node}
        for other, node in self.nominated.values():
            if node in nodes and objects.uid(other) != objects.uid(pod) and priority(other) >= priority(pod):
                nodes[node] = nodes[node].also_with([other])
        claims, *others = (dict(self.cache[kind].objects) for kind in STORAGE)
        for held in self.settling.values():
            claims |= volumes.on_their_way(claims, held.node, held.asked)
        storage = Storage(claims, *others)
        return Cycle(pod, nodes, self.cache["namespaces"].objects, storage)

    def choose(self, pod: dict) -> Choice | None:
        """Assume the pod on the best node; return that, or why there is none. None: it has one already."""
        with self.lock:
            if any(objects.uid(pod) in info.pods for info in self.nodes.values()):
                return None
            choice = best(self.cycle(pod), self.random)
            if choice.node:
                self.unschedulable.pop(objects.key(pod), None)
                self.nodes[choice.node].add(pod)
            else:
                self.unschedulable[objects.key(pod)] = Waiting(pod["spec"], time.monotonic())
            return choice

    # -- a node is found

    def take(self, pod: dict, choice: Choice) -> None:
        """Have the pod's claims settled for its node, then bind it."""
        if not choice.binding.bind and not choice.binding.provision:
            return self.bind(pod, choice.node)
        try:
            for claim, volume in choice.binding.bind:
                self.api.patch("persistentvolumes", objects.name(volume), None, claimed_by(claim, volume), kind="merge")
            asked = {objects.key(claim): self.provision(claim, choice.node) for claim in choice.binding.provision}
        except ApiError:
            with self.lock:
                self.nodes[choice.node].remove(objects.uid(pod))
            raise
        with self.lock:
            self.settling[objects.key(pod)] = Settling(objects.uid(pod), choice.node, asked)
        self.queue.add(objects.key(pod))
        return None

    def provision(self, claim: dict, node: str) -> int:
        """Ask for a volume on a node; return the claim's version then."""
        asked = {"metadata": {"uid": objects.uid(claim), "annotations": {volumes.SELECTED_NODE: node}}}
        changed = self.api.patch("persistentvolumeclaims", objects.name(claim), objects.namespace(claim), asked)
        return int(changed["metadata"]["resourceVersion"])

    def settle(self, pod: dict) -> None:
        """Bind a pod whose claims have become bound; begin anew where they will not be."""
        held = self.settling[objects.key(pod)]
        mine = volumes.claims(pod, Storage(self.cache["persistentvolumeclaims"].objects))
        if held.uid == objects.uid(pod) and all(volumes.is_bound(claim) for claim in mine):
            with self.lock:
                self.settling.pop(objects.key(pod), None)
            return self.bind(pod, held.node)
        if held.uid != objects.uid(pod) or any(volumes.was_given_back(claim, held.asked) for claim in mine):
            with self.lock:
                self.forget(pod)
            self.queue.add(objects.key(pod))
        return None

    def bind(self, pod: dict, node: str) -> None:
        name, namespace = objects.name(pod), objects.namespace(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": objects.uid(pod)},
            "target": {"kind": "Node", "name": node},
        }
        try:
            self.api.create_subresource("pods", name, namespace, "binding", binding)
        except ApiError as error:
            with self.lock:
                self.nodes[node].remove(objects.uid(pod))
                self.look_again()
            if error.code in (404, 409):  # it is gone, or somebody else was faster
                return
            raise
        self.recorder.event(pod, "Normal", "Scheduled", f"Successfully assigned {objects.key(pod)} to {node}")

    # -- no node is found

    def make_room(self, pod: dict, choice: Choice) -> None:
        """Take less important pods away if that helps; say why the pod stays Pending."""
        with self.lock:
            cycle = self.cycle(pod)
            refused = preemption.not_eligible(pod, cycle.nodes)
        outcome: Candidate | list[list[Reason]] = []
        if not refused:
            budgets = self.budgets(cycle, pod)
            with self.lock:
                outcome = preemption.preempt(self.cycle(pod), choice.against, budgets)
        if not isinstance(outcome, Candidate):
            return self.give_up(pod, explain(choice, refused or f"{sentence(outcome)}."))
        with self.lock:
            self.nominated[objects.uid(pod)] = (pod, outcome.node)
        self.give_up(pod, explain(choice), outcome.node)
        for victim in outcome.victims:
            self.take_away(victim, pod, outcome.node)
        return None

    def budgets(self, cycle: Cycle, pod: dict) -> list[dict]:
        """Return the disruption budgets, if there is anybody whom they could protect from the pod."""
        lower = (priority(each) < priority(pod) for info in cycle.nodes.values() for each in info.pods.values())
        return self.api.list("poddisruptionbudgets.policy")["items"] if any(lower) else []

    def take_away(self, victim: dict, pod: dict, node: str) -> None:
        if objects.is_deleting(victim):
            return
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{self.name}: preempting to accommodate a higher priority pod",
        }
        self.set_status(victim, {}, condition)
        try:
            self.api.delete("pods", objects.name(victim), objects.namespace(victim), uid=objects.uid(victim))
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        self.recorder.event(victim, "Normal", "Preempted", f"Preempted by pod {objects.uid(pod)} on node {node}")

    def give_up(self, pod: dict, why: str, nominated: str = "") -> None:
        """Say why the pod stays Pending, as an event and as its condition."""
        self.recorder.event(pod, "Warning", "FailedScheduling", why)
        self.set_status(
            pod,
            {"nominatedNodeName": nominated} if nominated else {},
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "reason": "Unschedulable",
                "message": why,
            },
        )

    def set_status(self, pod: dict, status: dict, condition: dict) -> None:
        """Write one condition, and other fields, of a pod's status, where they differ from what is there."""
        old = objects.condition(pod, condition["type"])
        new = {**condition, "observedGeneration": pod["metadata"].get("generation", 0)}
        if old and old.items() >= new.items() and (pod.get("status") or {}).items() >= status.items():
            return
        [new] = objects.set_condition([old] if old else [], new, time.time())
        patch = {"metadata": {"uid": objects.uid(pod)}, "status": {**status, "conditions": [new]}}
        where = objects.name(pod), objects.namespace(pod)
        try:
            self.api.patch("pods", *where, patch, kind="strategic", subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):  # it is gone, another has its name
                raise


def what_pods_ask_for(node: dict) -> tuple | None:
    """Return what of a node decides whether a pod fits; None for no node."""
    return (node["spec"], objects.labels(node), (node.get("status") or {}).get("allocatable")) if node else None


def claimed_by(claim: dict, volume: dict) -> dict:
    """Return the patch that keeps a volume for a claim; it fails where the volume has changed meanwhile."""
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    who = {"namespace": objects.namespace(claim), "name": objects.name(claim), "uid": objects.uid(claim)}
    metadata = {
        "resourceVersion": volume["metadata"]["resourceVersion"],
        "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"},
    }
    return {"metadata": metadata, "spec": {"claimRef": {**kind, **who}}}
