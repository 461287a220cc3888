"""Lifecycle hooks: what a container asks to be done after its start and before its stop.

A hook runs beside the pod's worker, which is told when it has ended; a sleep costs no thread. Each attempt of a
container has each of its hooks run once. A kubelet that starts again takes a postStart hook as done, and runs a preStop
hook once more.

Left out: tcpSocket, which upstream accepts and never runs.

Upstream: pkg/kubelet/lifecycle/handlers.go
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.kubelet import pods, prober
from labkit.glassbox.kubelet.pool import Pool
from labkit.glassbox.kubelet.runtime import Container
from labkit.glassbox.kubelet.surroundings import Surroundings

log = logging.getLogger(__name__)

MOST = 32  # hooks that run at once
HTTP_TIME = 30.0  # seconds within which a hook must be answered
EXEC_TIME = 24 * 3600.0  # seconds: a command ends with its container at the latest


@dataclass
class Run:
    """One run of a hook."""

    due: float | None = None  # of a sleep: when it is over
    ended: bool = False
    error: str = ""

    def is_over(self, now: float) -> bool:
        return self.ended or (self.due is not None and now >= self.due)


class Hooks:
    """The hooks that run, or ran, on one node."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self._pool = Pool("hook", MOST)
        self._started: dict[str, dict[str, Run]] = {}  # uid -> container id -> its postStart
        self._lock = threading.Lock()

    def post_start(self, pod: dict, container: dict) -> bool:
        """Run the postStart hook of a container that has just started; tell whether it has one."""
        uid = objects.uid(pod)
        started = self.around.runtime.inspect(uid).latest(container["name"])
        run = self.run(pod, container, started, "postStart") if started else None
        if run is None or started is None:
            return False
        with self._lock:
            self._started.setdefault(uid, {})[started.id] = run
        return True

    def unfinished(self, pod: dict, containers: Sequence[Container]) -> tuple[frozenset[str], frozenset[str]]:
        """Return the names of those whose postStart hook still runs, and of those whose hook has failed."""
        uid, now = objects.uid(pod), self.around.clock.now()
        with self._lock:
            runs = self._started.pop(uid, {})
            found = {each.name: runs[each.id] for each in containers if each.id in runs}
            if found:  # what has ended since needs no hook any more
                self._started[uid] = {each.id: runs[each.id] for each in containers if each.id in runs}
        for run in found.values():
            if run.due is not None and run.due > now:
                self.around.again(uid, run.due - now)
        going = frozenset(name for name, run in found.items() if not run.is_over(now))
        return going, frozenset(name for name, run in found.items() if run.error)

    def run(self, pod: dict, container: dict, instance: Container, when: str) -> Run | None:
        """Begin a hook, if there is one; the pod is synced when it has ended, but for a sleep: its caller sees to that.

        `when` is postStart or preStop.
        """
        handler = (container.get("lifecycle") or {}).get(when)
        if not handler:
            return None
        if sleep := handler.get("sleep"):
            return Run(due=self.around.clock.now() + float(sleep.get("seconds", 0)))
        run = Run()

        def task() -> None:
            run.error = self._carry_out(pod, container, instance, handler)
            if run.error:
                name = when[0].upper() + when[1:]
                path = pods.field_path(pod, instance.name)
                self.around.warn(pod, f"Failed{name}Hook", f"{name}Hook failed", path)
            run.ended = True
            self.around.again(objects.uid(pod), 0)

        self._pool.run(task)
        return run

    def forget(self, uid: str) -> None:
        """Forget a pod."""
        with self._lock:
            self._started.pop(uid, None)

    def _carry_out(self, pod: dict, container: dict, instance: Container, handler: dict) -> str:
        """Return what went wrong; it is logged and not told in events, which more people may read."""
        try:
            failed = self._ask(pod, container, instance, handler)
        except Exception as error:
            failed = str(error)
        if failed:
            log.warning("hook of container %s in pod %s failed: %s", container["name"], objects.key(pod), failed)
        return failed

    def _ask(self, pod: dict, container: dict, instance: Container, handler: dict) -> str:
        if command := handler.get("exec"):
            outcome = prober.execute(
                self.around.runtime, objects.uid(pod), instance, command.get("command") or [], EXEC_TIME
            )
            return outcome.text or "failed" if outcome.result == prober.FAILURE else ""
        if http := handler.get("httpGet"):
            sandbox = self.around.runtime.inspect(objects.uid(pod)).sandbox
            url = prober.url(http, sandbox.address if sandbox else "", container)
            outcome = prober.get(url, http.get("httpHeaders") or [], HTTP_TIME)
            return "" if outcome.result != prober.FAILURE else outcome.text
        return f"invalid handler: {', '.join(handler)}"
