"""Decides what to do for a pod: pure, the pod and what runs in, the next steps out.

Level-triggered: the decision rests on what is, never on what was just done, so a kubelet that starts again, or a step
that is repeated, comes to the same end. All back-off is computed from what the runtime remembers of past attempts.

Upstream: pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions), client-go util/flowcontrol/backoff.go
"""

from dataclasses import dataclass, field

from labkit.glassbox.kubelet import pods
from labkit.glassbox.kubelet.runtime import Actual, Container

FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 300.0  # seconds
FORGIVEN_AFTER = 2 * LONGEST_BACKOFF  # seconds of life after which a container's earlier failures are forgotten


@dataclass(frozen=True)
class Start:
    """A container to start, and how long the attempt after it will have to wait."""

    container: dict
    attempt: int = 0
    backoff: float = 0.0  # seconds


@dataclass(frozen=True)
class Actions:
    """What to do now for one pod."""

    new_sandbox: bool = False
    stop_sandbox: bool = False  # the pod has ended by itself
    start: tuple[Start, ...] = ()
    backing_off: dict[str, float] = field(default_factory=dict)  # container -> the whole delay, in seconds
    again_after: float | None = None  # seconds until the first of them may start


def compute_actions(pod: dict, actual: Actual, now: float) -> Actions:
    """Return what brings the pod nearer to its spec, at `now` (seconds since the epoch)."""
    if is_over(pod, actual):
        return Actions(stop_sandbox=actual.sandbox is not None and actual.sandbox.ready)
    wanted = _wanted(pod, actual)
    starts = [start for start in (_next_attempt(pod, each, actual) for each in wanted) if start]
    waits = {start.container["name"]: _remaining(actual.latest(start.container["name"]), now) for start in starts}
    ready = tuple(start for start in starts if waits[start.container["name"]] <= 0)
    waiting = {name: wait for name, wait in waits.items() if wait > 0}
    lacking = actual.sandbox is None or not actual.sandbox.ready
    return Actions(
        new_sandbox=lacking and bool(ready),
        start=ready,
        backing_off={name: _backoff(actual.latest(name)) for name in waiting},
        again_after=min(waiting.values(), default=None),
    )


def is_over(pod: dict, actual: Actual) -> bool:
    """Tell whether the pod has done all it ever will, by its restart policy."""
    if pods.restart_policy(pod) == "Always":
        return False
    if any(_failed_for_good(pod, actual.latest(each["name"])) for each in pods.init_containers(pod)):
        return True
    return all(_ended_for_good(pod, actual.latest(each["name"])) for each in pods.containers(pod))


def initialized(pod: dict, actual: Actual) -> bool:
    """Tell whether every init container has ended well, or was once past: the others have started."""
    if any(actual.latest(each["name"]) for each in pods.containers(pod)):
        return True
    return all(_succeeded(actual.latest(each["name"])) for each in pods.init_containers(pod))


def next_backoff(container: Container) -> float:
    """Return the delay that the attempt after this one leaves for its successor: 10 s, doubled up to 5 min."""
    lived = (container.finished_at or container.started_at) - container.started_at
    if container.backoff == 0 or lived > FORGIVEN_AFTER:
        return FIRST_BACKOFF
    return min(container.backoff * 2, LONGEST_BACKOFF)


def _wanted(pod: dict, actual: Actual) -> list[dict]:
    """Return the containers that ought to run now: the next init container alone, or all the others."""
    if initialized(pod, actual):
        return pods.containers(pod)
    pending = (each for each in pods.init_containers(pod) if not _succeeded(actual.latest(each["name"])))
    return [next(pending)]


def _next_attempt(pod: dict, container: dict, actual: Actual) -> Start | None:
    last = actual.latest(container["name"])
    if last is None:
        return Start(container)
    if last.running or _ended_for_good(pod, last):
        return None
    return Start(container, last.attempt + 1, next_backoff(last))


def _backoff(last: Container | None) -> float:
    """Return the delay between the end of an attempt and the next; none after the first, or after a long life."""
    if last is None or last.finished_at is None or last.finished_at - last.started_at > FORGIVEN_AFTER:
        return 0.0
    return last.backoff


def _remaining(last: Container | None, now: float) -> float:
    return (last.finished_at or now) + _backoff(last) - now if last else 0.0


def _succeeded(container: Container | None) -> bool:
    return container is not None and container.exit_code == 0


def _failed_for_good(pod: dict, container: Container | None) -> bool:
    failed = container is not None and not container.running and container.exit_code != 0
    return failed and pods.restart_policy(pod) == "Never"


def _ended_for_good(pod: dict, container: Container | None) -> bool:
    if container is None or container.running:
        return False
    policy = pods.restart_policy(pod)
    return policy == "Never" or (policy == "OnFailure" and container.exit_code == 0)
