"""`labkit run`: notebooks × clusters."""

import contextlib
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.cli.progress import Display, own_cluster
from labkit.cli.typed import called
from labkit.errors import ParameterError
from labkit.notebook import LESSONS


def _run(
    lessons: Annotated[list[Path] | None, typer.Argument(help="Notebooks, folders, or numbers of lessons.")] = None,
    cluster: Annotated[list[str] | None, typer.Option(
        help="A name of clusters.yaml, or glassbox[:NAME], kubeconfig[:CONTEXT], kind[:NAME] …; repeatable.")] = None,
    clusters_file: Annotated[Path | None, typer.Option(help="In the place of clusters.yaml.")] = None,
    start: Annotated[bool, typer.Option("--start", help="Start clusters of kind, k3d … that do not run.")] = False,
    own: Annotated[bool, typer.Option("--own-cluster", help="A new embedded cluster, only for this.")] = False,
    nodes: Annotated[int | None, typer.Option(min=1, max=200, help="With --own-cluster: how many nodes.")] = None,
    parameter: Annotated[list[str] | None, typer.Option("-p", "--parameter", help="NAME=VALUE; repeatable.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many runs at once.")] = 1,
    failed: Annotated[bool, typer.Option("--failed", help="Only what has not passed in --out yet.")] = False,
    out: Annotated[Path, typer.Option(help="Where executed notebooks and the matrix go.")] = Path("out"),
    cell_seconds: Annotated[float, typer.Option(min=1, help="Time limit of a cell.")] = 120,
    run_seconds: Annotated[float, typer.Option(min=1, help="Time limit of a notebook.")] = 1800,
    keep: Annotated[bool, typer.Option("--keep", help="Skip cleanup after a failure, to look into it.")] = False,
) -> None:  # fmt: skip
    """Run notebooks on clusters; leave them executed, and a matrix as HTML, JSON and CSV, in a folder."""
    from labkit.report import summary
    from labkit.run import plan
    from labkit.run import run as run_planned

    where = _where(cluster or [], clusters_file, own, nodes)
    planned = plan(lessons or [LESSONS], where=where, parameters=_parameters(parameter or []), out=out,
                   cell_seconds=cell_seconds, run_seconds=run_seconds, keep=keep)  # fmt: skip
    begun = time.monotonic()  # nothing has started yet: a wrong parameter is refused above
    with own_cluster(nodes) if own else contextlib.nullcontext(), Display(planned) as display:
        results = run_planned(planned, where=where, out=out, again=failed, parallel=jobs, start=start,
                              progress=display.begun, done=display.ended)  # fmt: skip
    typer.echo(f"  {summary(results, len(planned) - len(results))} ({time.monotonic() - begun:.1f} s by the clock)")
    typer.echo(f"  next: {_next(results, planned, out)}")
    if any(result.interrupted for result in results) or len(results) < len(planned):
        raise typer.Exit(130)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def _where(names: list[str], file: Path | None, own: bool, nodes: int | None) -> dict[str, str]:
    from labkit import inventory
    from labkit.cluster import DEFAULT

    if own and names:
        raise typer.BadParameter("it makes its own cluster: name no --cluster beside it", param_hint="--own-cluster")
    if nodes is not None and not own:
        raise typer.BadParameter("only with --own-cluster; else: labkit up --nodes N", param_hint="--nodes")
    return inventory.resolve(names or [DEFAULT], inventory.read(file))


def _next(results: list[Any], planned: list[Any], out: Path) -> str:
    page = f"open {out / 'index.html'}"
    all_well = len(results) == len(planned) and all(result.passed for result in results)
    return page if all_well else f"{page}; then the same command with --failed runs only what has not passed"


def _parameters(pairs: list[str]) -> dict[str, Any]:
    given = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ParameterError("not a parameter", value=repr(pair), expected="NAME=VALUE, e.g. -p seed=7")
        given[name] = value
    return given


run = called(_run)
__all__ = ["run"]
