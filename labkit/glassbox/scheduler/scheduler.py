"""One pod at a time: filter the nodes, score what is left, bind.

    queue → filter → score → assume → bind

The chosen node is *assumed*: the pod counts as there before the copy shows it, so that the next one is not put on the
same last free space. A pod that fits nowhere is *unschedulable*: it waits until something changes that could help it (a
node, or a pod that leaves), and at least a second between two tries.

Invariants: `nodes` and `unschedulable` are read and written under one lock, and that a pod fits nowhere is noted under
the same hold of it as the nodes were looked at; so no change falls between the look and the note.

Left out: preemption, and what filters.unimplemented names.

Upstream: pkg/scheduler/schedule_one.go, pkg/scheduler/backend/queue
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import Informer
from labkit.glassbox.scheduler.filters import Reason, unimplemented, why_not
from labkit.glassbox.scheduler.nodes import NodeInfo
from labkit.glassbox.scheduler.scores import score
from labkit.glassbox.workqueue import WorkQueue

log = logging.getLogger(__name__)

NAME = "default-scheduler"
MOST_OFTEN = 1.0  # seconds between two looks at a pod that fitted nowhere


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
        self.queue = WorkQueue()
        self.lock = threading.Lock()
        self.nodes: dict[str, NodeInfo] = {}
        self.unschedulable: dict[str, Waiting] = {}
        self.node_informer = Informer(api, "nodes", on_event=self.on_node)
        self.pod_informer = Informer(api, "pods", on_event=self.on_pod)

    def start(self) -> None:
        """Start following the API and scheduling, in threads."""
        self.node_informer.start()
        self.pod_informer.start()
        threading.Thread(target=self._work, name="scheduler", daemon=True).start()

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
            if node:
                self.account(type, pod, node)
            elif type != "DELETED" and self.is_mine(pod) and (waiting is None or waiting.spec != pod["spec"]):
                self.queue.add(key)

    def account(self, type: str, pod: dict, node: str) -> None:
        """Keep the books of a node whose pod changed; who leaves makes room. The caller holds the lock."""
        info = self.nodes.setdefault(node, NodeInfo())
        if type != "DELETED" and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            info.add(pod)
        elif info.remove(objects.uid(pod)):
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
        self.node_informer.wait_for_sync()
        self.pod_informer.wait_for_sync()
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
        pod = self.pod_informer.get(key)
        if pod is None or pod["spec"].get("nodeName") or not self.is_mine(pod):
            return
        if pod["spec"].get("schedulingGates"):
            return  # whoever set them removes them; that changes the pod
        node, why = self.choose(pod)
        if node is not None:
            self.bind(pod, node)
        elif why:
            self.give_up(pod, why)

    def choose(self, pod: dict) -> tuple[str | None, str]:
        """Assume the pod on the best node; return that, or None and why there is none ("": it has one already)."""
        with self.lock:
            if any(objects.uid(pod) in info.pods for info in self.nodes.values()):
                return None, ""
            node, why = best(pod, self.nodes, self.random)
            if node is None:
                self.unschedulable[objects.key(pod)] = Waiting(pod["spec"], time.monotonic())
            else:
                self.unschedulable.pop(objects.key(pod), None)
                self.nodes[node].add(pod)
            return node, why

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

    def give_up(self, pod: dict, why: str) -> None:
        """Say why the pod stays Pending, as an event and as its condition."""
        self.recorder.event(pod, "Warning", "FailedScheduling", why)
        old = objects.condition(pod, "PodScheduled")
        new = {
            "type": "PodScheduled",
            "observedGeneration": pod["metadata"].get("generation", 0),
            "status": "False",
            "lastProbeTime": None,
            "reason": "Unschedulable",
            "message": why,
        }
        if old and old.items() >= new.items():
            return
        [new] = objects.set_condition([old] if old else [], new, time.time())
        patch = {"metadata": {"uid": objects.uid(pod)}, "status": {"conditions": [new]}}
        where = objects.name(pod), objects.namespace(pod)
        try:
            self.api.patch("pods", *where, patch, kind="strategic", subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):  # it is gone, another has its name
                raise


def what_pods_ask_for(node: dict) -> tuple | None:
    """Return what of a node decides whether a pod fits; None for no node."""
    return (node["spec"], objects.labels(node), (node.get("status") or {}).get("allocatable")) if node else None


def best(pod: dict, nodes: dict[str, NodeInfo], lots: random.Random) -> tuple[str | None, str]:
    """Return the best of the nodes for a pod, or None and why none fits. Equals draw lots, so that they fill evenly."""
    if missing := unimplemented(pod):
        return None, f"{', '.join(missing)}: not implemented by this scheduler"
    known = {name: info for name, info in nodes.items() if info.node}
    against = {name: why_not(pod, info) for name, info in known.items()}
    fitting = [name for name, reasons in against.items() if not reasons]
    if not fitting:
        return None, explain(list(against.values()))
    return max(fitting, key=lambda name: (round(score(pod, known[name])), lots.random())), ""


def explain(against: list[list[Reason]]) -> str:
    """Return upstream's sentence for nodes none of which fits."""
    total = len(against)
    if not total:
        return "no nodes available to schedule pods"
    why = Counter(reason.text for reasons in against for reason in reasons)
    told = ", ".join(sorted(f"{count} {text}" for text, count in why.items()))
    helpless = sum(any(not reason.resolvable for reason in reasons) for reasons in against)
    hopes = {"No preemption victims found for incoming pod": total - helpless}
    hopes["Preemption is not helpful for scheduling"] = helpless
    preemption = sorted(f"{count} {text}" for text, count in hopes.items() if count)
    return (
        f"0/{total} nodes are available: {told}. no new claims to deallocate, "
        f"preemption: 0/{total} nodes are available: {', '.join(preemption)}."
    )
