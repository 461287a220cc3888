"""Threads that are made when they are needed and then kept, for what may make its thread wait: probes and hooks.

They are daemon threads: a kubelet that ends waits for no hook.
"""

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Pool:
    """At most `most` threads; what is handed in beyond that waits its turn."""

    def __init__(self, name: str, most: int) -> None:
        self.name, self.most = name, most
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = 0
        self._free = 0  # idle threads; below zero, tasks that wait for one
        self._lock = threading.Lock()

    def run(self, task: Callable[[], None]) -> None:
        """Have a task done."""
        with self._lock:
            self._free -= 1
            if self._free < 0 and self._threads < self.most:
                self._threads += 1
                self._free += 1
                threading.Thread(target=self._work, name=f"{self.name}-{self._threads}", daemon=True).start()
        self._tasks.put(task)

    def _work(self) -> None:
        while True:
            try:
                self._tasks.get()()
            except Exception:
                log.exception(self.name)
            with self._lock:
                self._free += 1
