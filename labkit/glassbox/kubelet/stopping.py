"""Ends containers as gracefully as they may: the preStop hook, the stop signal, and at the end of the grace SIGKILL.

The grace covers the hook too; a hook that takes all of it leaves its container two seconds more for the signal.
Sidecars get their signal after all other containers have ended, the last one first; their hooks run at once. Nothing
waits here: every sync of the pod brings its endings a step on.

Deviates from upstream in that a grace of one second is one second, where upstream makes it two.

Upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go (killContainer), kuberuntime_termination_order.go
"""

import signal
from collections.abc import Iterable
from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.kubelet import pods
from labkit.glassbox.kubelet.actions import Stop, running
from labkit.glassbox.kubelet.hooks import Hooks, Run
from labkit.glassbox.kubelet.runtime import Actual, Container
from labkit.glassbox.kubelet.surroundings import Surroundings

EXTENSION = 2.0  # seconds, for a container that was not signalled by the end of its grace


@dataclass
class Ending:
    """A container's way out."""

    grace: int
    deadline: float  # seconds since the epoch
    hook: Run | None = None
    renew: bool = False
    signalled: bool = False
    killed: bool = False

    def shorten(self, grace: int, now: float) -> None:
        """Take a second, shorter grace into account."""
        if grace < self.grace:
            self.grace, self.deadline = grace, min(self.deadline, now + grace)

    def next(self, now: float) -> float:
        """Return when to look at it again, if nothing else happens."""
        slept = self.hook.due if self.hook and self.hook.due and self.hook.due > now else self.deadline
        return max(min(slept, self.deadline), now)

    def step(self, now: float, its_turn: bool) -> str:
        """Return what to do now, stop or kill, or nothing; time has then gone on for this ending."""
        busy = self.hook is not None and not self.hook.is_over(now)
        if not self.signalled and (now >= self.deadline or (its_turn and not busy)):
            self.signalled = True
            if now >= self.deadline and self.grace > 0:
                self.deadline = now + EXTENSION
            return "stop"
        if self.signalled and not self.killed and now >= self.deadline:
            self.killed = True
            return "kill"
        return ""


class Stopper:
    """Stops the containers of one node's pods."""

    def __init__(self, around: Surroundings, hooks: Hooks) -> None:
        self.around, self.hooks = around, hooks
        self._endings: dict[str, dict[str, Ending]] = {}  # uid -> container id -> its ending

    def stop(self, pod: dict, actual: Actual, stops: Iterable[Stop], grace: int) -> None:
        """Bring the endings of these containers a step on; `grace` (seconds) is theirs unless they say otherwise."""
        now, uid = self.around.clock.now(), objects.uid(pod)
        known = {each.id for attempts in actual.containers.values() for each in attempts}
        endings = {id: each for id, each in self._endings.get(uid, {}).items() if id in known}
        self._endings[uid] = endings
        for each in stops:
            seconds = grace if each.grace is None else each.grace
            ending = endings.get(each.container.id)
            if ending is None:
                ending = endings[each.container.id] = self._begin(pod, each, seconds, now)
            ending.shorten(seconds, now)
            self._go_on(pod, each.container, ending, is_its_turn(pod, actual, each.container.name))

    def renewed(self, uid: str) -> set[str]:
        """Return the ids of the containers that were stopped to start again."""
        return {id for id, ending in self._endings.get(uid, {}).items() if ending.renew}

    def forget(self, uid: str) -> None:
        """Forget a pod."""
        self._endings.pop(uid, None)

    def _begin(self, pod: dict, stop: Stop, grace: int, now: float) -> Ending:
        name = stop.container.name
        message = stop.message or f"Stopping container {name}"
        self.around.tell(pod, "Killing", message, pods.field_path(pod, name))
        ending = Ending(grace, now + grace, renew=stop.renew)
        if grace > 0:
            ending.hook = self.hooks.run(pod, pods.spec_of(pod, name), stop.container, "preStop")
        return ending

    def _go_on(self, pod: dict, container: Container, ending: Ending, its_turn: bool) -> None:
        now, uid = self.around.clock.now(), objects.uid(pod)
        what = ending.step(now, its_turn)
        if what == "stop":
            self._signal(uid, container, signal.SIGTERM)
            what = ending.step(now, its_turn)
        if what == "kill":
            self._signal(uid, container, signal.SIGKILL)
        if not ending.killed:
            self.around.again(uid, ending.next(now) - now)

    def _signal(self, uid: str, container: Container, signum: int) -> None:
        self.around.runtime.signal_container(uid, container.name, container.attempt, signum)


def is_its_turn(pod: dict, actual: Actual, name: str) -> bool:
    """Tell whether a container may be signalled: a sidecar after all the others, and those that started after it."""
    sidecars = [each["name"] for each in pods.init_containers(pod) if pods.is_sidecar(each)]
    if name not in sidecars:
        return True
    before = sidecars[: sidecars.index(name) + 1]
    return all(each.name in before for each in running(actual))
