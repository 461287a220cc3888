"""Brings one pod to what its spec says: read what is, compute what to do, do it, report.

`sync` is called with a pod's uid whenever the pod or something in it may have changed, by one thread at a time for a
uid. It never waits for a container: what must happen later is asked for as another sync after so many seconds.

Invariants: a pod's sandbox exists before its containers, its volumes before both; a pod is deleted from the API only
after all that ran in it has ended; a pod that needs what is not implemented is told so by name and does not run.

Upstream: pkg/kubelet/pod_workers.go, pkg/kubelet/kubelet.go (SyncPod), kuberuntime/kuberuntime_manager.go
"""

import threading
from collections.abc import Callable
from dataclasses import replace

from labkit.glassbox import clock, node_selector, objects
from labkit.glassbox.errors import ApiError
from labkit.glassbox.kubelet import limits, pods, volumes
from labkit.glassbox.kubelet.actions import Observed, Stop, compute_actions, running
from labkit.glassbox.kubelet.addresses import Addresses
from labkit.glassbox.kubelet.hooks import Hooks
from labkit.glassbox.kubelet.image_pulls import ImagePulls
from labkit.glassbox.kubelet.predicates import rejection, withheld
from labkit.glassbox.kubelet.probes import Probes
from labkit.glassbox.kubelet.recall import recall
from labkit.glassbox.kubelet.reporting import Reporter
from labkit.glassbox.kubelet.resizing import AGAIN_AFTER, in_place, is_resized, with_amounts_of
from labkit.glassbox.kubelet.runtime import Actual
from labkit.glassbox.kubelet.starting import Starter
from labkit.glassbox.kubelet.status import Verdict, Waiting
from labkit.glassbox.kubelet.stopping import Stopper
from labkit.glassbox.kubelet.surroundings import Surroundings

# Seconds before a container that runs once is told of as running: who attaches to one that is about to end finds none.
# Upstream looks once a second.
SETTLED = 0.2
DEADLINE = Verdict("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


class PodWorker:
    """Syncs the pods of one node."""

    def __init__(
        self,
        around: Surroundings,
        get_pod: Callable[[str], dict | None],
        pulls: ImagePulls,
        addresses: Addresses,
    ) -> None:
        self.around, self.get_pod, self.addresses = around, get_pod, addresses
        self.hooks = Hooks(around)
        self.probes = Probes(around)
        self.starter = Starter(around, pulls, addresses, self.hooks, self.is_wanted)
        self.stopper = Stopper(around, self.hooks)
        self.reporter = Reporter(around)
        self._verdicts: dict[str, Verdict] = {}
        self._taken: dict[str, dict] = {}  # the pods that this node has taken, by UID
        self._taking = threading.Lock()

    def sync(self, uid: str) -> None:
        """Bring one pod nearer to its spec; raises what the API or the machine raise, and is then called again."""
        pod = self.get_pod(uid)
        if pod is None:
            return self.forget(uid)
        actual = self.inspect(pod)
        if objects.is_deleting(pod):
            return self.take_down(pod, actual)
        if pods.is_finished(pod):
            return self.stop(pod, actual)
        if missing := pods.unimplemented(pod):
            return self.refuse(pod, missing)
        if verdict := self.verdict(pod):
            return self.end(pod, actual, verdict)
        pod, pending = self.resized(pod)
        observed = replace(self.observe(pod, actual), pending=pending)
        todo = compute_actions(pod, actual, self.around.clock.now(), observed)
        if todo.stop_sandbox:
            self.reporter.report(pod, actual)
            return self.stop(pod, actual)
        self.stopper.stop(pod, actual, todo.stop, pods.grace_seconds(pod))
        waiting = self.starter.start(pod, actual, todo)
        self.limit(pod, self.inspect(pod))
        actual = self.inspect(pod)
        observed = replace(self.observe(pod, actual), pending=pending)
        if soon := settles_in(pod, actual, self.around.clock.now()):
            self.around.again(uid, soon)
        else:
            self.reporter.report(pod, actual, waiting, observed)
        if refresh := volumes.refresh_after(pod):
            self.around.again(uid, refresh)
        return None

    def is_wanted(self, uid: str) -> bool:
        """Tell whether a pod is still to run, as far as this node has heard."""
        pod = self.get_pod(uid)
        return pod is not None and not objects.is_deleting(pod)

    def resized(self, pod: dict) -> tuple[dict, tuple[str, str] | None]:
        """Return the pod with the amounts that the node gives it, and why those are not what it wants."""
        uid = objects.uid(pod)
        node = {"metadata": {"name": self.around.node.name}, "status": {"allocatable": self.around.node.allocatable}}
        with self._taking:
            held = self._taken.get(uid)
            if held is None or not is_resized(pod, held):
                return pod, None
            if (why := withheld(pod, node, (each for other, each in self._taken.items() if other != uid))) is None:
                self._taken[uid] = pod
                return pod, None
        self.around.again(uid, AGAIN_AFTER)
        return with_amounts_of(pod, held), why

    def limit(self, pod: dict, actual: Actual) -> None:
        """Hold the containers that were resized to their new limits."""
        for container, spec in in_place(pod, actual):
            fresh = limits.plan(pod, spec, 0, ()).as_dict()
            fresh = {field: fresh[field] for field in ("cpu", "memory")}
            name, held = container.name, spec.get("resources") or {}
            self.around.runtime.limit_container(objects.uid(pod), name, container.attempt, held, fresh)

    def inspect(self, pod: dict) -> Actual:
        """Return what runs and what ran in a pod, as far as anybody remembers it."""
        return recall(pod, self.around.runtime.inspect(objects.uid(pod)), self.around.clock.now())

    def observe(self, pod: dict, actual: Actual) -> Observed:
        """Return what else is known of a pod's containers than the runtime knows; what is new is probed from now on."""
        going, failed = self.hooks.unfinished(pod, running(actual))
        renewed = self.stopper.renewed(objects.uid(pod))
        latest = {name: last for name in actual.containers if (last := actual.latest(name))}
        again = frozenset(name for name, last in latest.items() if last.id in renewed)
        return Observed(self.probes.watch(pod, actual, going | failed), going | failed, failed, again)

    # ends

    def verdict(self, pod: dict) -> Verdict | None:
        """Return why a pod that has neither ended nor been deleted must end now."""
        uid, limit = objects.uid(pod), pod["spec"].get("activeDeadlineSeconds")
        began = (pod.get("status") or {}).get("startTime")
        if uid not in self._taken and (why := self._take(pod, new=not began)):
            self.around.warn(pod, why.reason, why.message)
            self._verdicts[uid] = replace(why, message=f"Pod was rejected: {why.message}")
        if uid not in self._verdicts and limit is not None and began:
            left = clock.parse(began) + limit - self.around.clock.now()
            if left > 0:
                self.around.again(uid, left)
            else:
                self._verdicts[uid] = DEADLINE
                self.around.tell(pod, DEADLINE.reason, DEADLINE.message)
        return self._verdicts.get(uid)

    def _take(self, pod: dict, new: bool) -> Verdict | None:
        """Take a pod, or return why not; one that is not new was taken by an earlier kubelet."""
        node = {"metadata": {"name": self.around.node.name}, "status": {"allocatable": self.around.node.allocatable}}
        if new and node_selector.is_asked(pod):
            node = self.around.api.get("nodes", self.around.node.name)  # somebody may just have labelled it
        with self._taking:
            why = rejection(pod, node, self._taken.values()) if new else None
            if why is None:
                self._taken[objects.uid(pod)] = pod
        return why

    def condemn(self, uid: str, verdict: Verdict) -> None:
        """Have a pod end, for good; whoever says so has recorded the event."""
        self._verdicts.setdefault(uid, verdict)
        self.around.again(uid, 0)

    def end(self, pod: dict, actual: Actual, verdict: Verdict) -> None:
        """End a pod that must not go on: gracefully, then its status says why."""
        if (left := running(actual)) and verdict.grace != 0:
            grace = pods.grace_seconds(pod) if verdict.grace is None else verdict.grace
            self.stopper.stop(pod, actual, [Stop(each) for each in left], grace)
            return self.reporter.report(pod, actual, observed=self.observe(pod, actual))
        self.around.runtime.stop_sandbox(objects.uid(pod))
        return self.reporter.report(pod, self.inspect(pod), verdict=verdict)

    def take_down(self, pod: dict, actual: Actual) -> None:
        """End a pod that is being deleted, gracefully, then delete the API object."""
        left, grace = running(actual), pods.grace_seconds(pod)
        if not left or grace == 0:
            return self._finish(pod)
        self.stopper.stop(pod, actual, [Stop(each) for each in left], grace)
        return self.reporter.report(pod, actual, observed=self.observe(pod, actual))

    def _finish(self, pod: dict) -> None:
        """Delete a pod in which nothing runs any more; its last state is reported first, as watchers expect it."""
        uid = objects.uid(pod)
        self.around.runtime.stop_sandbox(uid)
        actual = self.inspect(pod)
        ended = [actual.latest(name) for name in actual.containers]
        if ended and not pods.is_finished(pod):
            phase = "Succeeded" if all(each and each.exit_code == 0 for each in ended) else "Failed"
            self.reporter.report({**pod, "status": {**(pod.get("status") or {}), "phase": phase}}, actual)
        try:
            self.around.api.delete("pods", objects.name(pod), objects.namespace(pod), uid=uid, grace_period_seconds=0)
        except ApiError as error:
            if error.code not in (404, 409):  # 409: another pod has the name by now
                raise
        if not pod["metadata"].get("finalizers"):
            return self.forget(uid)
        self._taken.pop(uid, None)  # it is still there to be looked at, and takes no room
        return self.addresses.release(uid)

    def stop(self, pod: dict, actual: Actual) -> None:
        """End what is left of a pod that has ended; its logs stay until it is deleted."""
        uid = objects.uid(pod)
        self._taken.pop(uid, None)
        if actual.sandbox and actual.sandbox.ready:
            self.around.runtime.stop_sandbox(uid)
            self.around.again(uid, 0)  # to report that the sandbox is gone
        else:
            self.reporter.report(pod, actual)
        self.addresses.release(uid)

    def refuse(self, pod: dict, missing: list[str]) -> None:
        """Tell a pod that it needs what is not there."""
        message = f"{', '.join(missing)}: not implemented by this kubelet"
        if self.around.first_time(pod, message):
            self.around.warn(pod, "NotImplemented", message)
        waiting = Waiting("NotImplemented", message)
        self.reporter.report(pod, Actual(), {each["name"]: waiting for each in pods.containers(pod)})

    def forget(self, uid: str) -> None:
        """End and remove all that is left of a pod that the API does not have any more."""
        self.around.runtime.stop_sandbox(uid)
        self.around.runtime.remove(uid)
        volumes.remove(self.around.places(uid))
        self._verdicts.pop(uid, None)
        self._taken.pop(uid, None)
        for part in (self.probes, self.hooks, self.starter, self.stopper, self.reporter, self.around):
            part.forget(uid)


def settles_in(pod: dict, actual: Actual, now: float) -> float:
    """Return after how many seconds it is worth telling that a pod's containers run."""
    if pods.restart_policy(pod) == "Always":
        return 0
    return max((0.0, *(each.started_at + SETTLED - now for each in running(actual))))
