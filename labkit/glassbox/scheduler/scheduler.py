"""One pod at a time: filter the nodes, score what is left, bind.

    queue → filter → score → assume → bind

The chosen node is *assumed*: the pod counts as there before the copy shows it, so that the next one is not put on the
same last free space. A pod that fits nowhere waits until something changes that could help it: a node, or a pod that
leaves.

Upstream: pkg/scheduler/schedule_one.go, pkg/scheduler/backend/queue
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter

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


class Scheduler:
    """Schedules the pods whose schedulerName is `name`."""

    def __init__(self, api: Client, recorder: EventRecorder, *, name: str = NAME, seed: int | None = None):
        self.api, self.recorder, self.name = api, recorder, name
        self.random = random.Random(seed)
        self.queue = WorkQueue()
        self.lock = threading.Lock()
        self.nodes: dict[str, NodeInfo] = {}
        self.unschedulable: set[str] = set()
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
            self.nodes.setdefault(objects.name(node), NodeInfo()).node = {} if type == "DELETED" else node
        if type != "DELETED":
            self.look_again()

    def on_pod(self, type: str, pod: dict) -> None:
        node = pod["spec"].get("nodeName")
        if node:
            self.account(type, pod, node)
        elif type != "DELETED" and self.is_mine(pod):
            self.queue.add(objects.key(pod))
        if type == "DELETED":
            self.unschedulable.discard(objects.key(pod))

    def account(self, type: str, pod: dict, node: str) -> None:
        """Keep the books of a node whose pod changed; who leaves makes room."""
        leaves = type == "DELETED" or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        with self.lock:
            info = self.nodes.setdefault(node, NodeInfo())
            if leaves:
                info.remove(objects.uid(pod))
            else:
                info.add(pod)
        if leaves:
            self.look_again()

    def look_again(self) -> None:
        waiting, self.unschedulable = self.unschedulable, set()
        for key in waiting:
            self.queue.add_after(key, MOST_OFTEN)

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
        if pod["spec"].get("schedulingGates") or self.is_assumed(pod):
            return
        if missing := unimplemented(pod):
            self.give_up(pod, f"{', '.join(missing)}: not implemented by this scheduler")
            return
        node, why = self.choose(pod)
        if node is None:
            self.unschedulable.add(key)
            self.give_up(pod, why)
            return
        self.bind(pod, node)

    def is_assumed(self, pod: dict) -> bool:
        with self.lock:
            return any(objects.uid(pod) in info.pods for info in self.nodes.values())

    def choose(self, pod: dict) -> tuple[str | None, str]:
        """Return the best node, or None and why there is none."""
        with self.lock:
            infos = {name: info for name, info in self.nodes.items() if info.node}
            against = {name: why_not(pod, info) for name, info in infos.items()}
            fitting = [name for name, reasons in against.items() if not reasons]
            if not fitting:
                return None, explain(list(against.values()))
            # Equals are drawn by lot, so that they fill evenly.
            best = max(fitting, key=lambda name: (round(score(pod, infos[name])), self.random.random()))
            infos[best].add(pod)
            return best, ""

    def bind(self, pod: dict, node: str) -> None:
        key = objects.key(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": objects.name(pod), "namespace": objects.namespace(pod), "uid": objects.uid(pod)},
            "target": {"kind": "Node", "name": node},
        }
        try:
            self.api.create_subresource("pods", objects.name(pod), objects.namespace(pod), "binding", binding)
        except ApiError as error:
            with self.lock:
                self.nodes[node].remove(objects.uid(pod))
            if error.code in (404, 409):  # it is gone, or somebody else was faster
                return
            raise
        self.recorder.event(pod, "Normal", "Scheduled", f"Successfully assigned {key} to {node}")

    def give_up(self, pod: dict, why: str) -> None:
        """Say why the pod stays Pending, as an event and as its condition."""
        self.recorder.event(pod, "Warning", "FailedScheduling", why)
        new = {
            "type": "PodScheduled",
            "observedGeneration": pod["metadata"].get("generation", 0),
            "status": "False",
            "lastProbeTime": None,
            "reason": "Unschedulable",
            "message": why,
        }
        old = objects.condition(pod, "PodScheduled")
        if old and old.get("message") == why:
            return
        status = pod.get("status") or {}
        conditions = objects.set_condition(status.get("conditions"), new, time.time())
        try:
            self.api.update_status("pods", {**pod, "status": {**status, "conditions": conditions}})
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def explain(against: list[list[Reason]]) -> str:
    """Return upstream's sentence for nodes none of which fits."""
    total = len(against)
    if not total:
        return "no nodes available to schedule pods"
    why = Counter(reason.text for reasons in against for reason in reasons)
    told = ", ".join(sorted(f"{count} {text}" for text, count in why.items()))
    helpless = sum(any(not reason.resolvable for reason in reasons) for reasons in against)
    preemption = []
    if total - helpless:
        preemption.append(f"{total - helpless} No preemption victims found for incoming pod")
    if helpless:
        preemption.append(f"{helpless} Preemption is not helpful for scheduling")
    return (
        f"0/{total} nodes are available: {told}. no new claims to deallocate, "
        f"preemption: 0/{total} nodes are available: {', '.join(preemption)}."
    )
