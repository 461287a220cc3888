"""Decides when containers are probed and what the answers mean: started, ready, or failed for good.

One queue holds when each probe is due, one thread takes what is due and hands it to a few threads that ask, so that
hundreds of probes cost as many threads as are waiting for an answer. A pod is synced when a verdict changes.

Times are counted from the container's own start, without upstream's chance: startup and readiness are asked after their
initial delay, liveness after that or after its period, the later of the two. Within its first second a container is
asked readiness and startup a few times more, and what fails then does not count: upstream, too, asks more often until a
container is ready, and has looked at it for a second before.

Invariants: a verdict is about one attempt of a container; liveness and readiness are not asked before the container has
started; liveness and startup are not asked while the pod ends. A kubelet that starts again believes what the pod's
status says of an attempt that still runs.

Upstream: pkg/kubelet/prober/worker.go, prober_manager.go
"""

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

from labkit.glassbox import objects
from labkit.glassbox.kubelet import pods, prober
from labkit.glassbox.kubelet.actions import Health, running
from labkit.glassbox.kubelet.pool import Pool
from labkit.glassbox.kubelet.prober import Outcome
from labkit.glassbox.kubelet.runtime import Actual, Container
from labkit.glassbox.kubelet.surroundings import Surroundings
from labkit.glassbox.workqueue import WorkQueue

MOST = 16  # probes that wait for an answer at once
EARLY, EARLY_STEP = 1.0, 0.05  # seconds: the beginning of a container's life, and when it is asked first in it
STARTUP, LIVENESS, READINESS = "startup", "liveness", "readiness"
KINDS = (STARTUP, LIVENESS, READINESS)
Key = tuple[str, str, str]  # uid, container id, kind


@dataclass(frozen=True)
class Tally:
    """The answers to one probe so far; `verdict` is None until so many in a row have said the same."""

    verdict: bool | None = None
    last: bool | None = None
    run: int = 0

    def after(self, well: bool, probe: dict) -> "Tally":
        """Return the tally with one answer more."""
        run = self.run + 1 if well == self.last else 1
        needed = probe.get("successThreshold" if well else "failureThreshold") or (1 if well else 3)
        return Tally(well if run >= needed else self.verdict, well, run)


@dataclass
class Watch:
    """One probe of one attempt of a container."""

    pod: dict
    container: dict
    instance: Container
    address: str
    kind: str
    tally: Tally = field(default_factory=Tally)
    early: float = EARLY_STEP

    @property
    def probe(self) -> dict:
        return self.container[f"{self.kind}Probe"]

    @property
    def key(self) -> Key:
        return objects.uid(self.pod), self.instance.id, self.kind

    def first(self, now: float) -> float:
        """Return the seconds from now until the first question."""
        delay = float(self.probe.get("initialDelaySeconds") or 0)
        if self.kind == LIVENESS:
            delay = max(delay, self.period)
        return max(self.instance.started_at + delay - now, 0.0)

    @property
    def period(self) -> float:
        return float(self.probe.get("periodSeconds") or 10)

    def is_early(self, now: float) -> bool:
        """Tell whether a failure does not count yet."""
        return self.kind != LIVENESS and self.tally.last is None and now < self.instance.started_at + EARLY


class Probes:
    """The probes of one node's containers."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self._queue = WorkQueue()
        self._pool = Pool("probe", MOST)
        self._watches: dict[str, dict[tuple[str, str], Watch]] = {}  # uid -> (container id, kind)
        self._lock = threading.Lock()
        self._running = False

    def watch(self, pod: dict, actual: Actual, hooked: Collection[str]) -> dict[str, Health]:
        """Ask what runs in the pod, from now on, as it wants to be asked; return what is known of it."""
        found = {}
        for each in running(actual):
            spec = pods.spec_of(pod, each.name)
            if each.name in hooked or not any(f"{kind}Probe" in spec for kind in KINDS):
                continue
            found[each.name] = self._watch(pod, spec, each, actual)
        return found

    def forget(self, uid: str) -> None:
        """Stop asking a pod."""
        with self._lock:
            self._watches.pop(uid, None)

    def _watch(self, pod: dict, spec: dict, instance: Container, actual: Actual) -> Health:
        health = self._health(pod, spec, instance)
        for kind in KINDS:
            if f"{kind}Probe" in spec and (kind == STARTUP) != health.started:
                self._begin(pod, spec, instance, actual, kind)
        return health

    def _begin(self, pod: dict, spec: dict, instance: Container, actual: Actual, kind: str) -> None:
        with self._lock:
            watches = self._watches.setdefault(objects.uid(pod), {})
            if known := watches.get((instance.id, kind)):
                known.pod = pod  # as it is now
                return
            for old in [each for each in watches if each[1] == kind and watches[each].instance.name == instance.name]:
                del watches[old]
            address = actual.sandbox.address if actual.sandbox else ""
            made = Watch(pod, spec, instance, address, kind, Tally(_remembered(pod, instance, kind)))
            watches[instance.id, kind] = made
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="probes", daemon=True).start()
        self._queue.add_after(made.key, made.first(self.around.clock.now()))

    def _health(self, pod: dict, spec: dict, instance: Container) -> Health:
        with self._lock:
            watches = self._watches.get(objects.uid(pod), {})
            said = {kind: watches[instance.id, kind].tally.verdict for kind in KINDS if (instance.id, kind) in watches}
        for kind in KINDS:
            said.setdefault(kind, _remembered(pod, instance, kind) if f"{kind}Probe" in spec else True)
        failed = [kind for kind in (STARTUP, LIVENESS) if said[kind] is False]
        return Health(said[STARTUP] is True, said[READINESS] is True, failed[0] if failed else "")

    def _run(self) -> None:
        while (key := self._queue.get()) is not None:
            self._pool.run(partial(self._take, key))  # type: ignore[arg-type]

    def _take(self, key: Key) -> None:
        watch = self._watches.get(key[0], {}).get(key[1:])
        delay = None
        try:
            if watch is not None:
                began = self.around.clock.now()
                after = self._ask(watch)
                delay = None if after is None else max(began + after - self.around.clock.now(), 0.0)
        finally:
            self._queue.done(key)
            if delay is not None:
                self._queue.add_after(key, delay)

    def _ask(self, watch: Watch) -> float | None:
        """Ask once; return the seconds after which to ask again, None to stop."""
        deleting = objects.is_deleting(watch.pod)
        if deleting and watch.kind != READINESS:
            return None
        try:
            uid, runtime = objects.uid(watch.pod), self.around.runtime
            outcome = prober.ask(runtime, uid, watch.container, watch.instance, watch.address, watch.probe)
        except Exception as error:
            if not self._is_current(watch):
                return None
            message = f"{watch.kind.title()} probe errored and resulted in unknown state: {error}"
            self._warn(watch, "Unhealthy", message)
            return watch.period
        if not self._is_current(watch):
            return None
        well = outcome.result != prober.FAILURE
        if not well and watch.is_early(self.around.clock.now()):
            watch.early *= 2
            return watch.early
        self._tell(watch, outcome)
        before, watch.tally = watch.tally, watch.tally.after(well, watch.probe)
        if watch.tally.verdict != before.verdict:
            self.around.again(objects.uid(watch.pod), 0)
        over = {STARTUP: (True, False), LIVENESS: (False,), READINESS: ()}[watch.kind]
        return None if watch.tally.verdict in over else watch.period

    def _is_current(self, watch: Watch) -> bool:
        """Tell whether the container still runs that was asked: of another, or of none, nothing is to be said."""
        last = self.around.runtime.inspect(objects.uid(watch.pod)).latest(watch.instance.name)
        return last is not None and last.running and last.id == watch.instance.id

    def _tell(self, watch: Watch, outcome: Outcome) -> None:
        if outcome.result == prober.FAILURE:
            self._warn(watch, "Unhealthy", f"{watch.kind.title()} probe failed: {outcome.text}")
        elif outcome.result == prober.WARNING:
            self._warn(watch, "ProbeWarning", f"{watch.kind.title()} probe warning: {outcome.text}")

    def _warn(self, watch: Watch, reason: str, message: str) -> None:
        self.around.warn(watch.pod, reason, message, pods.field_path(watch.pod, watch.instance.name))


def _remembered(pod: dict, instance: Container, kind: str) -> bool | None:
    """Return what the pod's status says of this attempt: a kubelet that starts again must not unmake it."""
    if kind == LIVENESS:
        return True
    status = pod.get("status") or {}
    for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if each.get("containerID", "").endswith(instance.id) and each.get("started" if kind == STARTUP else "ready"):
            return True
    return None
