"""labkit loadtest: one target, some runs, a folder of results; and `compare`, which reads two such folders."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.errors import LabError


def _loadtest(
    target: Annotated[str, typer.Argument(help="http(s)://… from here, or service/NAME from inside the cluster.")],
    rate: Annotated[float, typer.Option(min=0.001, help="Requests a second that are offered.")] = 100,
    duration: Annotated[str, typer.Option(help="How long a run is: 30s, 2m.")] = "10s",
    arrivals: Annotated[str, typer.Option(help="poisson or uniform.")] = "poisson",
    clients: Annotated[int, typer.Option(min=0, help="A closed loop of so many clients, instead of a rate.")] = 0,
    keep: Annotated[int, typer.Option(min=0, help="At most so many connections, kept alive; 0: one a request.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds after which a request has failed.")] = 10,
    warmup: Annotated[float, typer.Option(help="Seconds to drop; -1 lets MSER-5 find them.")] = 0,
    runs: Annotated[int, typer.Option(min=1, help="How many: five have an interval worth giving.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the schedule; run N takes seed + N.")] = 0,
    generators: Annotated[int, typer.Option(min=1, help="Pods (service/NAME) or Locust's workers, to share it.")] = 1,
    engine: Annotated[str, typer.Option(help="own, or locust: several machines, whole journeys.")] = "own",
    master: Annotated[str, typer.Option(help="HOST:PORT at which Locust's workers join from other machines.")] = "",
    users: Annotated[str, typer.Option(help="A Python file of Locust users (locust).")] = "",
    image: Annotated[str, typer.Option(help="The generator's image: any with Python 3.11 or later.")] = "python:3",
    cluster: Annotated[str, typer.Option(help="glassbox[:NAME], kubeconfig[:CONTEXT], or a file.")] = "glassbox",
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Of the service.")] = "default",
    out: Annotated[Path | None, typer.Option(help="Where results go; by default loadtest-TIME.")] = None,
) -> None:  # fmt: skip
    """Send requests on a schedule that no answer can change, and say what became of them."""
    from labkit.loadtest import report
    from labkit.loadtest.plan import Plan, PlanError
    from labkit.loadtest.runner import Load, service_url

    folder = out or Path(time.strftime("loadtest-%Y%m%d-%H%M%S"))
    api, url = _where(target, cluster, namespace, service_url)
    options: dict[str, Any] = {
        "arrivals": arrivals,
        "clients": clients,
        "keep": keep,
        "timeout": timeout,
        "warmup": warmup,
    }
    try:
        plans = [Plan(url, ((rate, _seconds(duration)),), seed=seed + n, name=target, **options) for n in range(runs)]
    except PlanError as error:
        raise LabError(str(error)) from None
    load = Load(api, namespace, image=image, generators=generators, engine=engine, master=master, users=users,
                out=folder, progress=_Progress(plans), tell=_waiting)  # fmt: skip
    try:
        done = load.run(*plans)
    except KeyboardInterrupt:
        done = load.recorder.runs()
    for run in done:
        _tell(run)
    if load.recorder.problem:
        typer.echo(f"✗ {load.recorder.problem}", err=True)
    typer.echo(f"  next: open {report.save(done, folder, cluster=cluster)}; labkit loadtest compare {folder} OTHER")
    if load.recorder.problem or any(run.void for run in done):
        raise typer.Exit(1)


def _compare(
    new: Annotated[Path, typer.Argument(help="A folder of results.")],
    old: Annotated[Path, typer.Argument(help="Another: what the first is compared with.")],
    key: Annotated[str, typer.Option(help="The column by which runs are joined.")] = "name",
) -> None:
    """Compare two folders of results: ratios with 95 % intervals over runs; void runs are left out."""
    from labkit.loadtest import report

    found = report.compare(report.load(new), report.load(old), key)
    for name, rows in found.groupby(key):
        typer.echo(f"{name}: {new} / {old}")
        for _, each in rows.iterrows():
            band = f"[{each.low:.3f}, {each.high:.3f}]"
            typer.echo(f"  {each.measure:9} {each.ratio:7.3f}  {band:18}  {each.verdict}  ({each.runs} runs)")


def _where(target: str, cluster: str, namespace: str, service_url: Any) -> tuple[Any, str]:
    kind, _, name = target.partition("/")
    if kind not in ("service", "svc", "services"):
        return None, target
    from labkit.cluster import connect

    api = connect(cluster).api
    return api, service_url(api, namespace, name)


def _waiting(words: str) -> None:
    if words.startswith("•"):
        typer.echo(words)


def _seconds(text: str) -> float:
    units = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
    number = text.rstrip("hms")
    try:
        return float(number) * units[text[len(number) :] or "s"]
    except (ValueError, KeyError):
        raise LabError("not a duration", value=repr(text), expected="30s, 500ms, 2m") from None


def _tell(run: Any) -> None:
    from labkit.loadtest.samples import quantile

    errors = ", ".join(f"{count} {kind}" for kind, count in run.errors.items()) or "no errors"
    for name, values in (("response", run.response), ("service", run.service)):
        figures = "  ".join(f"{label} {quantile(values, q) * 1e3:.1f} ms" for label, q in
                            (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1)))  # fmt: skip
        typer.echo(f"  {name:9}{figures}")
    offered = f"{run.plan.rate:.1f}" if run.plan.is_open else f"by {run.plan.clients} clients"
    counts = f"{len(run.table)} requests: offered {offered}, achieved {run.achieved:.1f}/s"
    typer.echo(f"{'∅' if run.void else '✓'} {counts}, {errors}")
    for why in run.void:
        typer.echo(f"  void: {why}")


class _Progress:
    """Says how far a run is: a line a second, rewritten on a terminal."""

    def __init__(self, plans: list[Any]) -> None:
        self.plans, self.number, self.count, self.bad, self.told = plans, 0, 0, 0, 0.0

    def __call__(self, line: str) -> None:
        import json
        import sys

        if line.startswith("# {") and "plan" in (facts := json.loads(line[2:])):
            self.number, self.count, self.bad, self.told = facts["run"], 0, 0, time.monotonic()
            typer.echo(f"• run {self.number + 1} of {len(self.plans)}: {facts['plan']['url']}")
        elif line[:1].isdigit():
            self.count, self.bad = self.count + 1, self.bad + bool(line.split(",")[8])
            if time.monotonic() - self.told >= 1 and sys.stdout.isatty():
                self.told = time.monotonic()
                typer.echo(f"\r  {self.count} answered, {self.bad} of them errors", nl=False)


def loadtest(arguments: list[str], prog_name: str) -> None:
    """Send to one of the two commands; errors of the kit go on to cli.main."""
    chosen = _compare if arguments[:1] == ["compare"] else _loadtest
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command()(chosen)
    application(arguments[chosen is _compare :], prog_name=prog_name + (" compare" if chosen is _compare else ""))
