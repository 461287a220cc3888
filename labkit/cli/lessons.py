"""Commands on notebooks: run, release, regen, lab."""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labkit.errors import LabError, ParameterError

if TYPE_CHECKING:
    from labkit.run import Job

NOTEBOOKS = Path("notebooks")


def _run(
    notebooks: Annotated[list[Path] | None, typer.Argument(help="Notebooks, or folders of them.")] = None,
    cluster: Annotated[str, typer.Option(help="glassbox[:NAME], kubeconfig[:CONTEXT], or a file.")] = "glassbox",
    own_cluster: Annotated[bool, typer.Option("--own-cluster", help="A new embedded cluster, only for this.")] = False,
    parameter: Annotated[list[str] | None, typer.Option("-p", "--parameter", help="NAME=VALUE; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="Where executed notebooks and the index go.")] = Path("out"),
    cell_seconds: Annotated[float, typer.Option(min=1, help="Time limit of a cell.")] = 120,
    run_seconds: Annotated[float, typer.Option(min=1, help="Time limit of a notebook.")] = 1800,
    keep: Annotated[bool, typer.Option("--keep", help="Skip cleanup after a failure, to look into it.")] = False,
) -> None:
    """Run notebooks on a cluster; leave them executed, and an HTML index, in a folder."""
    from labkit.run import plan
    from labkit.run import run as run_notebooks

    paths, given = notebooks or [NOTEBOOKS], _parameters(parameter or [])
    limits: dict[str, Any] = {"out": out, "cell_seconds": cell_seconds, "run_seconds": run_seconds, "keep": keep}
    plan(paths, cluster=cluster, parameters=given, **limits)  # refuses before a cluster is started for it
    begun = time.monotonic()
    with _cluster(cluster, own_cluster) as name, _Display() as display:
        results = run_notebooks(paths, cluster=name, parameters=given, progress=display.show, **limits)
    for result in results:
        mark, tail = ("✓", "") if result.passed else ("✗", f" · cell {result.cell}: {result.failure}")
        typer.echo(f"{mark} {result.name} ({result.seconds:.1f} s){tail}")
    typer.echo(f"  {len(results)} notebooks in {time.monotonic() - begun:.1f} s")
    typer.echo(f"  next: open {out / 'index.html'}")
    if not all(result.passed for result in results):
        raise typer.Exit(130 if results[-1].failure.startswith("interrupted") else 1)


def _release(
    out: Annotated[Path, typer.Option(help="Where the student edition goes.")] = Path("work"),
    source: Annotated[Path, typer.Option(help="The course: a folder with notebooks/ and manifests/.")] = Path("."),
) -> None:
    """Make the student edition: solutions removed, outputs cleared, checks and hints kept."""
    _released(source, out)
    typer.echo(f"  next: labkit lab --out {out}")


def _lab(
    out: Annotated[Path, typer.Option(help="The student edition's folder.")] = Path("work"),
    source: Annotated[Path, typer.Option(help="The course: a folder with notebooks/ and manifests/.")] = Path("."),
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False,
    port: Annotated[int, typer.Option(help="0 picks a free one.")] = 8888,
) -> None:
    """Open JupyterLab on the student edition; your changed files are never overwritten."""
    from labkit.jupyter import open_lab

    _released(source, out)
    raise typer.Exit(open_lab(out, browser=not no_browser, port=port))


def _regen(
    notebooks: Annotated[list[Path] | None, typer.Argument(help="Notebooks, or folders of them.")] = None,
) -> None:
    """Run the notebooks again on a new cluster and rewrite their stored outputs."""
    from labkit.regen import regen as regenerate

    with _cluster("", own=True), _Display() as display:
        changed = regenerate(notebooks or [NOTEBOOKS], progress=display.show)
    for path, is_new in changed.items():
        typer.echo(f"✓ {path} {'rewritten' if is_new else 'unchanged'}")
    typer.echo("  next: git diff notebooks")


def _released(source: Path, out: Path) -> None:
    from labkit.release import release as make_release

    changes = make_release(source, out)
    for change in changes:
        if change.done not in ("new", "unchanged"):
            typer.echo(f"{change.mark} {change}")
    fresh = sum(change.done == "new" for change in changes)
    typer.echo(f"✓ student edition in {out}: {len(changes)} files, {fresh} of them new")


def _cluster(name: str, own: bool) -> Any:
    from labkit.throwaway import own_cluster

    if not own:
        return contextlib.nullcontext(name)
    typer.echo("• starting an embedded cluster of its own")
    return own_cluster()


def _parameters(pairs: list[str]) -> dict[str, Any]:
    given = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ParameterError("not a parameter", value=repr(pair), expected="NAME=VALUE, e.g. -p seed=7")
        given[name] = value
    return given


class _Display:
    """Shows how far a run is: a bar on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console()
        self._bar: Any = None
        self._task: Any = None
        self._name = ""

    def __enter__(self) -> "_Display":
        if self._console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(TextColumn("• {task.description}"), BarColumn(), MofNCompleteColumn(),
                                 TimeElapsedColumn(), console=self._console, transient=True)  # fmt: skip
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, job: "Job", cell: int, of: int) -> None:
        """Say which cell has begun."""
        if self._bar is None:
            if job.name != self._name:
                typer.echo(f"• {job.name}: {of} cells")
        elif job.name != self._name:
            self._task = self._bar.add_task(job.name, total=of)
        else:
            self._bar.update(self._task, completed=cell)
        self._name = job.name


def _application(command: Any) -> typer.Typer:
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command()(command)
    return application


def _called(command: Any) -> Any:
    """Return what cli.main calls: errors of the kit go on to it; usage errors end here, since Typer has its own."""

    def call(arguments: list[str], prog_name: str) -> None:
        _application(command)(arguments, prog_name=prog_name)

    return call


run, release, lab, regen = _called(_run), _called(_release), _called(_lab), _called(_regen)
__all__ = ["LabError", "lab", "regen", "release", "run"]
