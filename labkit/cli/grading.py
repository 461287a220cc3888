"""Commands of who hands in and who grades: submit; grade, reopen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labkit.cli.typed import called

if TYPE_CHECKING:
    from labkit.grading.batch import Batch
    from labkit.grading.crew import Crew


def _grade(
    submissions: Annotated[Path | None, typer.Argument(help="A folder of hand-ins, or an LMS's zip.")] = None,
    lesson: Annotated[str, typer.Option(help="The lesson's number.")] = "",
    out: Annotated[Path, typer.Option(help="Where marks, pages and evidence go.")] = Path("grades"),
    rubric: Annotated[Path | None, typer.Option(help="A rubric of your own, in the place of the kit's.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many hand-ins at once.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Only what is missing or has changed.")] = False,
    recheck: Annotated[bool, typer.Option("--recheck", help="Judge again what was kept; run nothing.")] = False,
    imported: Annotated[Path | None, typer.Option("--import", help="Take marks given by hand from a CSV.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --import change marks given before.")] = False,
    cluster: Annotated[str, typer.Option(help="A context, or a kubeconfig: a namespace a hand-in there.")] = "",
    executor: Annotated[str, typer.Option(help="dask://HOST:8786 sends hand-ins to a Dask cluster's workers.")] = "",
    seconds: Annotated[float, typer.Option(min=10, help="Time limit of a hand-in.")] = 600,
    cell_seconds: Annotated[float, typer.Option(min=1, help="Time limit of a cell.")] = 120,
) -> None:
    """Grade hand-ins: each in a sandbox, on an embedded cluster of its own, judged by another process.

    With --cluster they share one that somebody else runs, each in a namespace that is gone afterwards.
    --recheck and --import need no SUBMISSIONS: they work on the results in --out.
    """
    from labkit.grading import again, batch, borrowed, handins

    limits = {**batch.LIMITS, "seconds": seconds, "cell_seconds": cell_seconds}
    if recheck or imported:
        planned = again.prepare(out, lesson, rubric, recheck=recheck)
        marked = again.recheck(planned) if recheck else batch.results(out)
        if imported:
            count = again.take_in(planned, imported, overwrite=overwrite)
            typer.echo(f"✓ {count} marks of {imported} are new or changed")
        return _tell(planned, marked)
    if submissions is None or not lesson:
        raise typer.BadParameter("SUBMISSIONS and --lesson say what is graded; --recheck and --import need neither")
    found = handins.find(submissions)
    owner = borrowed.find(cluster) if cluster else None
    planned = batch.prepare(lesson, out, given=rubric, resume=resume, limits=limits, cluster=cluster, owner=owner)
    if not executor:
        return _run(found, planned, jobs)
    from labkit.grading.remote import Dask

    crew = Dask(executor)
    return _run(found, planned, max(jobs, crew.size), crew)


def _run(found: list[Any], planned: "Batch", jobs: int, crew: "Crew | None" = None) -> None:
    from labkit.grading import batch, results

    pace = batch.Pace()

    def done(result: dict[str, Any], count: int, of: int) -> None:
        left = pace.left(count, of)
        typer.echo(f"{results.line(result)}  [{count} of {of}, about {left:.0f} s left]")

    typer.echo(f"• {len(found)} hand-ins of lesson {planned.lesson}, {jobs} at once")
    try:
        marked = batch.grade(planned, found, jobs=jobs, crew=crew, done=done)
    except KeyboardInterrupt:
        typer.echo("  next: the same line with --resume grades the rest", err=True)
        raise
    _tell(planned, marked)
    if any(r["trouble"] for r in marked):
        raise typer.Exit(1)


def _tell(planned: "Batch", marked: list[dict[str, Any]]) -> None:
    """Write all files, and say what is there and what is left to do."""
    from labkit.grading import again, results

    shown = again.write(planned, marked)
    waiting = [r["student"] for r in shown if results.total(r) is None]
    typer.echo(f"  {len(shown)} hand-ins, {len(waiting)} of them for a person to look at")
    if lacking := sorted({image for r in marked for image in r.get("lacks", [])}):
        typer.echo(f"• images that the grading cluster lacks: {', '.join(lacking)}. Where they are to be had:")
        typer.echo("    the same line with --resume --cluster CONTEXT; else fill in grades.csv and --import it")
    if rerun := again.waiting(marked):
        typer.echo(f"• only another run can tell, with --resume: {'; '.join(rerun)}")
    for each in again.orphans(planned.out, shown):
        typer.echo(f"• a mark given by hand for what is no more: {each}")
    typer.echo(f"  next: open {planned.out / 'index.html'}; the marks are in {planned.out / 'grades.csv'}")


def _reopen(
    grades: Annotated[Path, typer.Argument(help="The folder that `labkit grade` wrote.")],
    student: Annotated[str, typer.Argument(help="Whose cluster.")],
) -> None:
    """Bring back the cluster that a hand-in left behind, to look at in a dispute."""
    from labkit.grading.evidence import reopen

    name, kubeconfig = reopen(grades, student)
    typer.echo(f"✓ the cluster of {student} is up again, as {name}")
    typer.echo(f"  next: KUBECONFIG={kubeconfig} kubectl get all -A; labkit down --name {name} --purge")


def _submit(
    notebook: Annotated[Path, typer.Argument(help="The notebook, saved.")],
    student: Annotated[str, typer.Option(help="Your name as your instructor knows it.")] = "",
    out: Annotated[Path | None, typer.Option(help="The file, in the place of hand-in/NOTEBOOK/STUDENT.zip.")] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Do not run it first.")] = False,
) -> None:
    """Make one file to hand in: run the notebook on a fresh cluster, say what is missing, print the receipt."""
    import getpass

    from labkit.cli.progress import Display
    from labkit.grading import submit as making
    from labkit.grading.handins import plain

    draft = making.draft(notebook)
    typer.echo(f"✓ {notebook} was saved at {draft.saved:%H:%M:%S}, {draft.saved:%d %B}")
    if later := making.worked_since(notebook):
        typer.echo(f"✗ its kernel worked until {later:%H:%M:%S}: not saved since? Save it (Ctrl+S), then submit again")
    nb = draft.nb
    if not no_run:
        typer.echo("• running all cells on a fresh cluster")
        with Display() as display:
            result, nb = making.run_anew(notebook, display.begun)
        typer.echo("✓ every cell ended well" if result.passed else f"✗ cell {result.cell}: {result.failure}")
    for each in making.unanswered(nb):
        typer.echo(f"• not answered: {each}")
    name = plain(student or getpass.getuser())
    file = out or Path("hand-in") / notebook.stem / f"{name}.zip"
    receipt = making.write(draft, file)
    typer.echo(f"✓ {file} holds {', '.join(draft.files)}")
    typer.echo(f"  receipt: {receipt}")
    typer.echo(f"  next: hand in {file}; until the deadline you may submit again, the newest counts")


submit, grade, reopen = called(_submit), called(_grade), called(_reopen)
__all__ = ["grade", "reopen", "submit"]
