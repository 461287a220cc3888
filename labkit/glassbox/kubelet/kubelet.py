"""The node agent: registers its node, keeps its lease, and runs the pods that are bound to it.

Watches the pods with spec.nodeName = this node. An event of the API or of the runtime puts a pod's uid on one queue,
and a few workers sync what is queued; a uid is with one worker at a time. What the event said is forgotten.

Invariants: nothing is torn down before the first list of pods is complete; SIGTERM, or a kill -9, leaves the pods
running, and the next kubelet takes them over from the run directory.
Left out: static pods, garbage collection of dead containers beyond the pod's own end.

Upstream: pkg/kubelet/kubelet.go, pkg/kubelet/kubelet_node_status.go, component-helpers lease controller
"""

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labkit.glassbox import clock, objects
from labkit.glassbox.client import Client, ensure
from labkit.glassbox.clock import Clock
from labkit.glassbox.errors import ApiError
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import Informer
from labkit.glassbox.kubelet import node_status
from labkit.glassbox.kubelet.addresses import Addresses
from labkit.glassbox.kubelet.eviction import Evictor
from labkit.glassbox.kubelet.image_pulls import ImagePulls
from labkit.glassbox.kubelet.images import Images
from labkit.glassbox.kubelet.object_cache import ObjectCache
from labkit.glassbox.kubelet.pod_worker import PodWorker
from labkit.glassbox.kubelet.runtime import LinuxRuntime
from labkit.glassbox.kubelet.server import Server, ServerOptions
from labkit.glassbox.kubelet.stats import Stats
from labkit.glassbox.kubelet.surroundings import HOST_TREE, Node, Surroundings
from labkit.glassbox.kubelet.volumes.reclaimer import VolumeReclaimer
from labkit.glassbox.kubelet.zygote import Zygote
from labkit.glassbox.workqueue import WorkQueue

log = logging.getLogger(__name__)

WORKERS = 4
LEASE_DURATION, RENEWALS = 40, 4  # seconds; how often in them a lease is renewed
STATUS_EVERY = 300.0  # seconds, unless a condition changes


@dataclass(frozen=True)
class Options:
    """What the kubelet is told at its start."""

    node_name: str
    node_ip: str
    pod_cidr: str
    root_dir: Path
    run_dir: Path
    labels: dict[str, str]
    server: ServerOptions | None
    images_file: Path | None = None
    cluster_dns: str = ""
    cluster_domain: str = "cluster.local"
    lease_duration: int = LEASE_DURATION
    disk_size: int = 0


class Kubelet:
    """One node's agent."""

    def __init__(
        self, api: Client, zygote: Zygote, options: Options, time: Clock, of_reclaimer: Client | None = None
    ) -> None:
        self.api, self.options, self.clock = api, options, time
        self.host = self.look_at_host()
        self.runtime = LinuxRuntime(options.run_dir, zygote)
        self.events = EventRecorder(api, "kubelet", host=options.node_name)
        self.queue = WorkQueue()
        self.pods = Informer(
            api, "pods", field_selector=f"spec.nodeName={options.node_name}", on_event=self._pod_changed
        )
        self.by_uid: dict[str, dict] = {}
        self._uids: dict[str, str] = {}  # by namespace/name
        self.addresses = Addresses(options.pod_cidr)
        allocatable = node_status.allocatable(self.host)
        node = Node(
            options.node_name,
            options.node_ip,
            options.root_dir,
            options.run_dir,
            allocatable,
            options.cluster_dns,
            options.cluster_domain,
        )
        cache = ObjectCache(api, self.look_again)
        around = Surroundings(api, self.runtime, self.events, self.look_again, node, time, cache)
        pulls = ImagePulls(Images(more=options.images_file), self.events, time)
        self.worker = PodWorker(around, self.by_uid.get, pulls, self.addresses)
        self.stats = Stats(options.node_name, self.runtime, self.by_uid.get, time)
        self.evictor = Evictor(around, self._pods, self.stats, self.worker.condemn, self.look_at_host)
        own = of_reclaimer or api
        events = EventRecorder(own, "kubelet", host=options.node_name)
        self.reclaimer = VolumeReclaimer(own, events, options.node_name, options.root_dir / HOST_TREE)
        self.stopping = threading.Event()
        self._due: dict[str, float] = {}  # when a pod's next sync is due
        self._lock = threading.Lock()

    def run(self) -> None:
        """Run until `stop`."""
        self.runtime.watch(self.queue.add)
        self.find_pods()
        if self.options.server:
            Server(self.options.server, self._pods, self.runtime, self.stats, self.clock, self.options.root_dir).start()
        self.tell("Starting", "Starting kubelet.")
        self._insist("registering the node", self.register)
        self.pods.start()
        self.pods.wait_for_sync()
        self.reclaimer.start()
        for number in range(WORKERS):
            threading.Thread(target=self._work, name=f"pod-worker-{number}", daemon=True).start()
        threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True).start()
        threading.Thread(target=self.evictor.run, args=(self.stopping,), name="eviction", daemon=True).start()
        self.stopping.wait()
        self.queue.close()
        self.pods.stop()

    def stop(self) -> None:
        """Let `run` return; the pods go on."""
        self.stopping.set()

    def find_pods(self) -> None:
        """Take note of the addresses that sandboxes of an earlier kubelet hold."""
        for uid in self.runtime.list():
            sandbox = self.runtime.inspect(uid).sandbox
            if sandbox and not sandbox.host_network and not sandbox.detached:
                self.addresses.take(uid, sandbox.address)

    # the node

    def register(self) -> None:
        """Make the Node, or bring the one that is there up to date."""
        name = self.options.node_name
        wanted = node_status.node_object(name, self.options.pod_cidr, self.options.labels)
        try:
            node = self.api.create("nodes", wanted)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            patch = {"metadata": {"labels": wanted["metadata"]["labels"]}, "spec": wanted["spec"]}
            node = self.api.patch("nodes", name, None, patch, kind="merge")
        self.node_uid = objects.uid(node)
        self.renew_lease()  # first: who finds it old holds the node for lost, whatever its status says
        self.report_node(node)
        ensure(self.api, "csinodes", node_status.csi_node_object(node), self.stopping)

    def look_at_host(self) -> node_status.Host:
        """Return the host's figures, as far as they are the node's."""
        return node_status.read_host(self.options.root_dir, self.options.disk_size)

    def report_node(self, node: dict) -> None:
        """Write the node's status."""
        self.host = self.look_at_host()
        old = node.get("status") or {}
        now = self.clock.now()
        status = node_status.status_of(self.options.node_name, self.options.node_ip, self.host, old, now)
        patch = {"status": status}  # strategic: other components have conditions of their own
        self.api.patch("nodes", self.options.node_name, None, patch, kind="strategic", subresource="status")
        for reason in node_status.news(old.get("conditions") or [], status["conditions"]):
            self.tell(reason, f"Node {self.options.node_name} status is now: {reason}")

    def tell(self, reason: str, message: str) -> None:
        """Say something about the node, whose name stands for its uid: it need not be registered yet."""
        name = self.options.node_name
        node = {"kind": "Node", "apiVersion": "", "metadata": {"name": name, "uid": name}}
        self.events.event(node, "Normal", reason, message)

    def renew_lease(self) -> None:
        """Tell the control plane that this node lives."""
        name, now = self.options.node_name, clock.rfc3339_micro(self.clock.now())
        spec = {"holderIdentity": name, "leaseDurationSeconds": self.options.lease_duration, "renewTime": now}
        try:
            self.api.patch("leases.coordination.k8s.io", name, "kube-node-lease", {"spec": spec}, kind="merge")
        except ApiError as error:
            if error.code != 404:
                raise
            owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": self.node_uid}
            metadata = {"name": name, "namespace": "kube-node-lease", "ownerReferences": [owner]}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            self.api.create("leases.coordination.k8s.io", lease)

    def _heartbeat(self) -> None:
        since = self.clock.now()
        while not self.stopping.wait(self.options.lease_duration / RENEWALS):
            try:
                self.renew_lease()
                node = self.api.get("nodes", self.options.node_name)
                # Not ready: a lease that came late, of a host that slept, made others say so.
                due = self.clock.now() - since >= STATUS_EVERY or not objects.is_true(node, "Ready")
                if due or self._pressure_changed():
                    self.report_node(node)
                    since = self.clock.now()
            except Exception as error:
                log.warning("node heartbeat: %s", error)
                since = float("-inf")  # others may have said by now that nothing is heard of this node
                with suppress(Exception):
                    self.register()  # somebody may have deleted the Node

    def _pressure_changed(self) -> bool:
        return node_status.pressures(self.look_at_host()) != node_status.pressures(self.host)

    # pods

    def _pods(self) -> list[dict]:
        return list(self.by_uid.values())

    def _pod_changed(self, kind: str, pod: dict) -> None:
        uid, key = objects.uid(pod), objects.key(pod)
        before = self._uids.get(key)
        if before and (before != uid or kind == "DELETED"):
            # Gone, or replaced by another of the same name while the watch was broken.
            self.by_uid.pop(before, None)
            self._due.pop(before, None)
            self.queue.add(before)
        if kind == "DELETED":
            self._uids.pop(key, None)
            return
        self.by_uid[uid], self._uids[key] = pod, uid
        self.queue.add(uid)

    def look_again(self, uid: str, after: float) -> None:
        """Have a pod synced in so many seconds; of several times the earliest counts, and that sync asks anew."""
        with self._lock:
            now = self.clock.now()
            due = self._due.get(uid, 0.0)
            if now < due <= now + after:
                return
            self._due[uid] = now + after
        self.queue.add_after(uid, after)

    def _work(self) -> None:
        while (uid := self.queue.get()) is not None:
            try:
                self.worker.sync(str(uid))
                self.queue.forget(uid)
            except Exception as error:
                log.warning("pod %s: %s: %s", uid, type(error).__name__, error, exc_info=not _expected(error))
                self.queue.retry(uid)
            finally:
                self.queue.done(uid)

    def _insist(self, what: str, action) -> None:
        delay = 0.05
        while not self.stopping.is_set():
            try:
                return action()
            except Exception as error:
                log.info("%s: %s; again in %.1f s", what, error, delay)
                self.stopping.wait(delay)
                delay = min(delay * 2, 2.0)
        return None


def _expected(error: Exception) -> bool:
    return isinstance(error, (ApiError, OSError))
