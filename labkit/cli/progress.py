"""How far runs are: a live table on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from labkit.worker import Job, Result


@contextmanager
def own_cluster(nodes: int | None) -> Iterator[str]:
    """Start an embedded cluster for this command alone, and say so."""
    from labkit import throwaway

    click.echo("• starting an embedded cluster of its own")
    with throwaway.own_cluster(nodes) as name:
        yield name


class Display:
    """Shows runs as they begin, go on and end; `begun` and `ended` may be called from several threads."""

    def __init__(self, jobs: "Sequence[Job]" = ()) -> None:
        from rich.console import Console

        self._console, self._lock = Console(), threading.Lock()
        self._live: Any = None
        self._states: dict[tuple[str, str], tuple[str, str]] = {(j.name, j.cluster): ("·", "waiting") for j in jobs}
        self._since: dict[tuple[str, str], float] = {}

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self.table, console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begun(self, job: "Job", cell: int, of: int) -> None:
        """Say which cell of a run has begun."""
        key = (job.name, job.cluster)
        with self._lock:
            is_first = key not in self._since
            begun = self._since.setdefault(key, time.monotonic())
            self._states[key] = ("•", f"cell {cell + 1} of {of}, {time.monotonic() - begun:.0f} s")
        if is_first and self._live is None:
            click.echo(f"• {job.name}{_on(job.cluster)}: {of} cells")

    def ended(self, result: "Result") -> None:
        """Say how a run ended."""
        mark = "✓" if result.passed else "✗"
        where = f"cell {result.cell}: " if result.cell >= 0 else ""
        why = "" if result.passed else f" · {where}{result.failure}"
        with self._lock:
            self._states[(result.name, result.cluster)] = (mark, f"{result.seconds:.1f} s{why}")
        if self._live is None:
            click.echo(f"{mark} {result.name}{_on(result.cluster)} ({result.seconds:.1f} s){why}")

    def table(self) -> Any:
        """Return the table as it is now."""
        from rich.table import Table
        from rich.text import Text

        table = Table("", "lesson", "cluster", "state", box=None)
        with self._lock:
            for (name, cluster), (mark, state) in self._states.items():
                table.add_row(Text(mark, {"✓": "green", "✗": "red"}.get(mark, "dim")), name, cluster, Text(state))
        return table


def _on(cluster: str) -> str:
    return f" on {cluster}" if cluster else ""
