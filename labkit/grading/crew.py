"""The workers of a batch on this machine: processes that run now, and the gate that leads them to a shared cluster."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Semaphore
from typing import Any, Protocol

from labkit.grading import borrowed, warm
from labkit.grading.worker import main, write_whole

BEGUN = ".begun"  # the folder of these notes
UP_SECONDS = 120.0  # for a worker to have its cluster
END_SECONDS = 30.0  # for a worker to end its hand-in and its cluster
Order = dict[str, Any]


class Crew(Protocol):
    """Who runs workers: here, or on other machines."""

    ended: bool
    ahead: int  # how many may be run beyond those that have their turn

    def __enter__(self) -> "Crew": ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, order: Order, seconds: float) -> str:
        """Have a worker do as the order says, which leaves a result; return what it said otherwise."""

    def end(self) -> None:
        """Have all workers end their hand-ins and clusters, and go."""


class Here:
    """The workers on this machine, `jobs` at a turn; `owner` is the kubeconfig of a cluster that they share."""

    def __init__(self, owner: dict[str, Any] | None = None, jobs: int = 1) -> None:
        self.owner = owner
        self.ahead = 0 if owner else 1
        self.running: set[ForkServerProcess] = set()
        self.ended = False
        self._turns = Semaphore(jobs)
        self._open = ExitStack()
        self._gate = Path()

    def __enter__(self) -> "Here":
        warm.begin()
        if self.owner:
            server = self.owner["clusters"][0]["cluster"]["server"]
            self._gate = self._open.enter_context(borrowed.Gate(server)).path
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self, order: Order, seconds: float) -> str:
        """Run one; return what it said last, or that its time was over."""
        with tempfile.TemporaryDirectory(prefix="lk-", ignore_cleanup_errors=True) as folder, noted(order, folder):
            file = Path(folder) / "order.json"
            file.write_text(json.dumps({**order, "gate": str(self._gate), "environment": dict(os.environ)}))
            here, there = Pipe()
            worker = warm.process(main, str(file), there)
            worker.start()
            there.close()
            self.running.add(worker)
            if self.ended:
                worker.terminate()
            with here:
                late = hear(worker, here, UP_SECONDS)
                if not late and worker.exitcode is None:  # one that is late, or has ended, takes nobody's turn
                    with self._turns:
                        late = hear(worker, here, seconds, say="your turn")
            worker.join(0 if late else END_SECONDS)
            self.running.discard(worker)
            if worker.exitcode is None:
                end(worker)
                return late or "it was judged, and did not end"
            errors = Path(f"{file}.errors")
            said = errors.read_text(errors="replace").strip().splitlines() if errors.exists() else []
            return (said or [f"it ended with {worker.exitcode}"])[-1]

    def end(self) -> None:
        """Have all of them end their hand-ins and clusters, and go."""
        self.ended = True
        running = list(self.running)
        for worker in running:
            worker.terminate()
        for worker in running:
            end(worker)


@contextmanager
def noted(order: Order, folder: str) -> Iterator[None]:
    """Note beside the results where a worker has its files, for who comes after a batch that was killed."""
    result = Path(order["result"])
    note = result.parent.parent / BEGUN / result.stem
    write_whole(note, folder)
    yield
    note.unlink()


def hear(worker: ForkServerProcess, here: Connection, seconds: float, say: str = "") -> str:
    """Say what a worker waits for; wait until it says how far it is, or ends. Return "", or that it did neither."""
    if say:
        with suppress(OSError):  # it has ended
            here.send(say)
    if not wait([here, worker.sentinel], seconds):
        return f"no end after {seconds:.0f} s"
    if here.poll():
        with suppress(EOFError):
            here.recv()
    return ""


def end(worker: ForkServerProcess) -> None:
    """Have a worker end what it has begun; one that does not is killed."""
    worker.terminate()
    worker.join(END_SECONDS)
    worker.kill()
