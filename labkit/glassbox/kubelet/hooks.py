"""Lifecycle hooks: what a container asks to be done after its start and before its stop.

A hook runs beside the pod's worker, which is told when it has ended; a sleep costs no thread. Each attempt of a
container has each of its hooks run once. A kubelet that starts again takes a postStart hook as done, and runs a preStop
hook once more.

Left out: tcpSocket, which upstream accepts and never runs.

Upstream: pkg/kubelet/lifecycle/handlers.go
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.clock import Clock
from labkit.glassbox.kubelet import prober
from labkit.glassbox.kubelet.pool import Pool
from labkit.glassbox.kubelet.runtime import Container, LinuxRuntime

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

    def __init__(self, runtime: LinuxRuntime, again: Callable[[str, float], None], time: Clock) -> None:
        self.runtime, self.again, self.clock = runtime, again, time
        self._pool = Pool("hook", MOST)
        self._started: dict[str, dict[tuple[str, int], Run]] = {}  # uid -> (container, attempt) -> its postStart
        self._lock = threading.Lock()

    def post_start(self, pod: dict, container: dict, attempt: int) -> Run | None:
        """Run a container's postStart hook; None when it has none."""
        handler = (container.get("lifecycle") or {}).get("postStart")
        if not handler:
            return None
        started = self.runtime.inspect(objects.uid(pod)).latest(container["name"])
        if started is None:
            return None
        run = self.run(pod, container, started, handler)
        with self._lock:
            self._started.setdefault(objects.uid(pod), {})[container["name"], attempt] = run
        return run

    def started(self, uid: str) -> dict[tuple[str, int], Run]:
        """Return the postStart hooks of a pod's attempts."""
        with self._lock:
            return dict(self._started.get(uid, {}))

    def run(self, pod: dict, container: dict, instance: Container, handler: dict) -> Run:
        """Begin a hook; the pod is synced when it has ended, but for a sleep: its `due` is the caller's to look at."""
        uid = objects.uid(pod)
        if sleep := handler.get("sleep"):
            seconds = float(sleep.get("seconds", 0))
            return Run(due=self.clock.now() + seconds)
        run = Run()

        def task() -> None:
            run.error = self._carry_out(pod, container, instance, handler)
            run.ended = True
            self.again(uid, 0)

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
            outcome = prober.execute(self.runtime, objects.uid(pod), instance, command.get("command") or [], EXEC_TIME)
            return outcome.text or "failed" if outcome.result == prober.FAILURE else ""
        if http := handler.get("httpGet"):
            sandbox = self.runtime.inspect(objects.uid(pod)).sandbox
            url = prober.url(http, sandbox.address if sandbox else "", container)
            outcome = prober.get(url, http.get("httpHeaders") or [], HTTP_TIME)
            return "" if outcome.result != prober.FAILURE else outcome.text
        return f"invalid handler: {', '.join(handler)}"
