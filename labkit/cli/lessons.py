"""Commands on notebooks: release, regen, lab; and the dashboard, which is one too."""

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.progress import Display, own_cluster
from labkit.cli.typed import called
from labkit.notebook import LESSONS


def _release(
    out: Annotated[Path, typer.Option(help="Where the student edition goes.")] = Path("work"),
    source: Annotated[Path, typer.Option(help="The course: a folder with notebooks/ and manifests/.")] = Path("."),
    nbgrader: Annotated[bool, typer.Option("--nbgrader", help="Make source/ of an nbgrader course instead.")] = False,
) -> None:
    """Make the student edition: solutions removed, outputs cleared, checks and hints kept."""
    _released(source, out, nbgrader)
    typer.echo(
        f"  next: {f'cd {out} && nbgrader generate_assignment LESSON' if nbgrader else f'labkit lab --out {out}'}"
    )


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


def _dashboard(
    cluster: Annotated[str, typer.Option(help="glassbox[:NAME], kubeconfig[:CONTEXT], or a file.")] = "glassbox",
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="The namespace shown first.")] = "default",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False,
    port: Annotated[int, typer.Option(help="The next free one from here on.")] = 8866,
) -> None:
    """Serve a live view of the cluster as a page in the browser, on this machine alone, behind a token."""
    from labkit.dashboard import serve

    raise typer.Exit(serve(cluster, namespace, browser=not no_browser, port=port))


def _regen(
    notebooks: Annotated[list[Path] | None, typer.Argument(help="Notebooks, folders, or numbers of lessons.")] = None,
) -> None:
    """Run the notebooks again on a new cluster and rewrite their stored outputs."""
    from labkit.regen import regen as regenerate

    with own_cluster(None), Display() as display:
        changed = regenerate(notebooks or [LESSONS], progress=display.begun)
    for path, is_new in changed.items():
        typer.echo(f"✓ {path} {'rewritten' if is_new else 'unchanged'}")
    typer.echo("  next: git diff notebooks")


def _released(source: Path, out: Path, nbgrader: bool = False) -> None:
    from labkit.release import release as make_release

    changes = make_release(source, out, nbgrader=nbgrader)
    for change in changes:
        if change.done not in ("new", "unchanged"):
            typer.echo(f"{change.mark} {change}")
    fresh = sum(change.done == "new" for change in changes)
    typer.echo(
        f"✓ {'nbgrader course' if nbgrader else 'student edition'} in {out}: {len(changes)} files, {fresh} of them new"
    )


release, lab, dashboard, regen = called(_release), called(_lab), called(_dashboard), called(_regen)
__all__ = ["dashboard", "lab", "regen", "release"]
