"""Decides what to do for a pod: pure, the pod and what runs in, the next steps out.

Level-triggered: the decision rests on what is, never on what was just done, so a kubelet that starts again, or a step
that is repeated, comes to the same end. All back-off is computed from what the runtime remembers of past attempts.

Init containers run one after the other; one that restarts always (a sidecar) lets the next begin as soon as it has
started, and runs until all others have ended. A new sandbox begins with the first init container again.

Upstream: pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions), client-go util/flowcontrol/backoff.go
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.glassbox.kubelet import pods
from labkit.glassbox.kubelet.resizing import must_restart
from labkit.glassbox.kubelet.runtime import Actual, Container

FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 300.0  # seconds
FORGIVEN_AFTER = 2 * LONGEST_BACKOFF  # seconds of life after which a container's earlier failures are forgotten


@dataclass(frozen=True)
class Health:
    """What the probes say of one container; without probes, a container that runs is well."""

    started: bool = True
    ready: bool = True
    failed: str = ""  # the probe that has failed for good: liveness or startup


@dataclass(frozen=True)
class Observed:
    """What the kubelet knows of a pod's containers and the runtime does not; by container name."""

    health: Mapping[str, Health] = field(default_factory=dict)
    hooked: frozenset[str] = frozenset()  # their postStart hook has not ended, or not well
    unhooked: frozenset[str] = frozenset()  # it has failed
    renewed: frozenset[str] = frozenset()  # stopped to start again, whatever the policy
    pending: tuple[str, str] | None = None  # why the node does not give the pod what it wants: reason, message

    def of(self, container: Container | None) -> Health:
        """Return the health of a container's last attempt."""
        if container is None or not container.running or container.name in self.hooked:
            return Health(False, False)
        return self.health.get(container.name, Health())


NOTHING = Observed()


@dataclass(frozen=True)
class Start:
    """A container to start, and how long the attempt after it will have to wait."""

    container: dict
    attempt: int = 0
    backoff: float = 0.0  # seconds


@dataclass(frozen=True)
class Stop:
    """A container to stop."""

    container: Container
    message: str = ""  # of the event; empty: it is only stopped
    grace: int | None = None  # seconds, where they are not the pod's
    renew: bool = False  # to start again, whatever the policy


@dataclass(frozen=True)
class Actions:
    """What to do now for one pod."""

    new_sandbox: bool = False
    stop_sandbox: bool = False  # the pod has ended by itself
    start: tuple[Start, ...] = ()
    stop: tuple[Stop, ...] = ()
    backing_off: dict[str, float] = field(default_factory=dict)  # container -> the whole delay, in seconds
    again_after: float | None = None  # seconds until the first of them may start


def compute_actions(pod: dict, actual: Actual, now: float, observed: Observed = NOTHING) -> Actions:
    """Return what brings the pod nearer to its spec, at `now` (seconds since the epoch)."""
    if is_over(pod, actual, observed):
        sidecars = tuple(Stop(each) for each in running(actual))
        return Actions(stop=sidecars, stop_sandbox=not sidecars and actual.sandbox is not None and actual.sandbox.ready)
    lacking = actual.sandbox is None or not actual.sandbox.ready
    wanted = _wanted(pod, Actual() if lacking else actual, observed)
    starts = [start for start in (_next_attempt(pod, each, actual, observed) for each in wanted) if start]
    waits = {start.container["name"]: _remaining(start, actual, now) for start in starts}
    ready = () if observed.hooked else tuple(each for each in starts if waits[each.container["name"]] <= 0)
    waiting = {name: wait for name, wait in waits.items() if wait > 0}
    return Actions(
        new_sandbox=lacking and bool(ready),
        start=(*ready, *(() if lacking else _added(pod, actual))),
        stop=tuple(stop for each in pods.every_container(pod) if (stop := _stop(pod, each, actual, observed))),
        backing_off={name: _backoff(actual.latest(name)) for name in waiting},
        again_after=min(waiting.values(), default=None),
    )


def _added(pod: dict, actual: Actual) -> list[Start]:
    """Return the ephemeral containers to start, whatever the others do; each runs once."""
    return [Start(each) for each in pods.ephemeral_containers(pod) if actual.latest(each["name"]) is None]


def is_over(pod: dict, actual: Actual, observed: Observed = NOTHING) -> bool:
    """Tell whether the pod has done all it ever will, by its restart policy and its containers' own."""
    if any(_failed_for_good(pod, each, actual) for each in pods.init_containers(pod)):
        return True
    return all(_ended_for_good(pod, each, actual, observed) for each in pods.containers(pod))


def running(actual: Actual) -> list[Container]:
    """Return the containers that have not ended."""
    return [last for name in actual.containers if (last := actual.latest(name)) and last.running]


def initialized(pod: dict, actual: Actual, observed: Observed = NOTHING) -> bool:
    """Tell whether every init container has ended well, or started if a sidecar, or was once past."""
    if any(_current(actual, each["name"]) for each in pods.containers(pod)):
        return True
    return all(_is_past(each, actual, observed) for each in pods.init_containers(pod))


def next_backoff(container: Container) -> float:
    """Return the delay that the attempt after this one leaves for its successor: 10 s, doubled up to 5 min."""
    lived = (container.finished_at or container.started_at) - container.started_at
    if container.backoff == 0 or lived > FORGIVEN_AFTER:
        return FIRST_BACKOFF
    return min(container.backoff * 2, LONGEST_BACKOFF)


def is_changed(spec: dict, container: Container | None) -> bool:
    """Tell whether a container was started from another image than its spec has, or takes a restart to be resized."""
    if container is None:
        return False
    return bool(container.asked_image) and container.asked_image != spec["image"] or must_restart(spec, container)


def _current(actual: Actual, name: str) -> Container | None:
    """Return a container's last attempt, if it ran in the sandbox that is there now."""
    last = actual.latest(name)
    earlier = last and actual.sandbox and last.created_at < actual.sandbox.created_at
    return None if earlier else last


def _is_past(spec: dict, actual: Actual, observed: Observed) -> bool:
    last = _current(actual, spec["name"])
    return observed.of(last).started if pods.is_sidecar(spec) else _succeeded(last)


def _wanted(pod: dict, actual: Actual, observed: Observed) -> list[dict]:
    """Return the containers that ought to run now: sidecars, and the next init container or all the others."""
    sidecars: list[dict] = []
    done = initialized(pod, actual, observed)
    for each in pods.init_containers(pod):
        if pods.is_sidecar(each):
            sidecars.append(each)
        if not done and not _is_past(each, actual, observed):
            return sidecars if pods.is_sidecar(each) else [*sidecars, each]
    return [*sidecars, *pods.containers(pod)]


def _next_attempt(pod: dict, container: dict, actual: Actual, observed: Observed) -> Start | None:
    last = actual.latest(container["name"])
    if last is None:
        return Start(container)
    again = container in pods.init_containers(pod)  # it is wanted, so it is to run, in a new sandbox once more
    if last.running or (not again and _ended_for_good(pod, container, actual, observed)):
        return None
    return Start(container, last.attempt + 1, FIRST_BACKOFF if is_changed(container, last) else next_backoff(last))


def _stop(pod: dict, spec: dict, actual: Actual, observed: Observed) -> Stop | None:
    """Return why a running container must not go on as it is."""
    last = actual.latest(spec["name"])
    if last is None or not last.running:
        return None
    if is_changed(spec, last):
        return Stop(last, f"Container {last.name} definition changed, will be restarted", renew=True)
    if last.name in observed.unhooked:
        return Stop(last, "FailedPostStartHook")
    if not (failed := observed.of(last).failed):
        return None
    again = ", will be restarted" if pods.restarts(pod, spec, 137) else ""
    grace = (spec.get(f"{failed}Probe") or {}).get("terminationGracePeriodSeconds")
    return Stop(last, f"Container {last.name} failed {failed} probe{again}", grace)


def _backoff(last: Container | None) -> float:
    """Return the delay between the end of an attempt and the next; none after the first, or after a long life."""
    if last is None or last.finished_at is None or last.finished_at - last.started_at > FORGIVEN_AFTER:
        return 0.0
    return last.backoff


def _remaining(start: Start, actual: Actual, now: float) -> float:
    last = actual.latest(start.container["name"])
    if last is None or is_changed(start.container, last):
        return 0.0
    return (last.finished_at or now) + _backoff(last) - now


def _succeeded(container: Container | None) -> bool:
    return container is not None and container.exit_code == 0


def _failed_for_good(pod: dict, spec: dict, actual: Actual) -> bool:
    last = actual.latest(spec["name"])
    return last is not None and bool(last.exit_code) and not pods.restarts(pod, spec, last.exit_code or 0)


def _ended_for_good(pod: dict, spec: dict, actual: Actual, observed: Observed) -> bool:
    last = actual.latest(spec["name"])
    if last is None or last.exit_code is None or last.name in observed.renewed:
        return False
    return not pods.restarts(pod, spec, last.exit_code)
