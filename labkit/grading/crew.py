"""The workers of a batch on this machine: processes that run now, and the gate that leads them to a shared cluster."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Protocol

from labkit.grading import borrowed, warm
from labkit.grading.worker import main, write_whole

BEGUN = ".begun"  # the folder of these notes
END_SECONDS = 30.0  # for a worker to end its hand-in and its cluster
Order = dict[str, Any]


class Crew(Protocol):
    """Who runs workers: here, or on other machines."""

    ended: bool

    def __enter__(self) -> "Crew": ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, order: Order, seconds: float) -> str:
        """Have a worker do as the order says, which leaves a result; return what it said otherwise."""

    def end(self) -> None:
        """Have all workers end their hand-ins and clusters, and go."""


class Here:
    """The workers on this machine; `owner` is the kubeconfig of a cluster that they share."""

    def __init__(self, owner: dict[str, Any] | None = None) -> None:
        self.owner = owner
        self.running: set[ForkServerProcess] = set()
        self.ended = False
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
            worker = warm.process(main, str(file))
            worker.start()
            self.running.add(worker)
            if self.ended:
                worker.terminate()
            worker.join(seconds)
            self.running.discard(worker)
            if worker.exitcode is None:
                end(worker)
                return f"no end after {seconds:.0f} s"
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


def end(worker: ForkServerProcess) -> None:
    """Have a worker end what it has begun; one that does not is killed."""
    worker.terminate()
    worker.join(END_SECONDS)
    worker.kill()
