"""What a run comes to: one tidy table, a row a run, and a report that discloses all of it (as SPECweb96's rules ask).

Runs of several clusters are joined by key and compared as ratios with intervals, over runs that are not void.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from labkit import __version__
from labkit.errors import LabError
from labkit.loadtest.charts import over_time, spectrum
from labkit.loadtest.samples import Run, quantile
from labkit.loadtest.stats.intervals import ratio

MEASURES = ("p50", "p95", "p99", "mean", "achieved")  # of the response, seconds; a second


def row(run: Run, **keys: str) -> dict[str, object]:
    """Return one run as a row; times in seconds, processor time in cores."""
    response, facts = run.response, run.facts
    return {
        **keys, **run.plan.labels, "name": run.plan.name, "url": run.plan.url,
        "loop": "open" if run.plan.is_open else "closed", "offered": run.plan.rate, "achieved": run.achieved,
        "requests": len(run.table), "errors": sum(run.errors.values()), "kinds": " ".join(run.errors),
        "p50": quantile(response, 0.5), "p95": quantile(response, 0.95), "p99": quantile(response, 0.99),
        "max": quantile(response, 1), "mean": float(response.mean()) if len(response) else float("nan"),
        "service_p99": quantile(run.service, 0.99), "lag_p99": quantile(run.lag, 0.99),
        "generator_cpu": max((f["generator_cpu"] for f in facts), default=float("nan")),
        "pods_cpu": sum(run.pod_cpu().values()),
        "longest_hiccup": max((f.get("longest_hiccup", 0) for f in facts), default=float("nan")),
        "steal": max((f["steal"] for f in facts if f["steal"] is not None), default=float("nan")),
        "warmup": run.warmup, "seed": run.plan.seed, "began": pd.Timestamp(run.began, unit="s").isoformat(),
        "void": "; ".join(run.void),
    }  # fmt: skip


def table(runs: Iterable[Run], **keys: str) -> pd.DataFrame:
    """Return the tidy table: a row a run."""
    return pd.DataFrame([row(run, **keys) for run in runs])


def disclose(runs: Sequence[Run], **keys: str) -> str:
    """Write the report: plans, seeds, versions, void runs, figures; Markdown."""
    found = table(runs, **keys)
    void = [f"- run {n} ({run.plan.name or run.plan.url}): {why}" for n, run in enumerate(runs) for why in run.void]
    about = {name: f.get(name) for run in runs for f in run.facts for name in ("python", "kernel", "cores", "clock")}
    figures = found[["name", "loop", "offered", "achieved", "p50", "p95", "p99", "errors", "lag_p99"]]
    return "\n\n".join([
        "# Load test",
        "Response counts from the intended time, service from the time of sending. Times are seconds.",
        "```\n" + figures.to_string(float_format=lambda value: f"{value:.4g}") + "\n```",
        "## Void runs\n\n" + ("\n".join(void) or "None."),
        "## Plans\n\n```\n" + "\n".join(run.plan.to_json() for run in runs) + "\n```",
        "## Made with\n\n" + ", ".join(f"{k} {v}" for k, v in {"labkit": __version__, **about, **keys}.items()),
    ]) + "\n"  # fmt: skip


def save(runs: Sequence[Run], folder: Path, *, pictures: bool = True, **keys: str) -> Path:
    """Write report.md, runs.csv and two pictures of each run into the folder; return the report's path."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        table(runs, **keys).to_csv(folder / "runs.csv", index=False)
        for number, run in enumerate(runs if pictures else ()):
            (folder / f"spectrum-{number}.svg").write_text(spectrum(run).svg)
            (folder / f"over-time-{number}.svg").write_text(over_time(run).svg)
        report = folder / "report.md"
        report.write_text(disclose(runs, **keys))
    except OSError as error:
        raise LabError(f"cannot write the report into {folder}", value=error.strerror) from None
    return report


def load(folder: Path) -> pd.DataFrame:
    """Read the table of a folder of results; raises LabError when there is none."""
    try:
        found = pd.read_csv(folder / "runs.csv")
    except (OSError, ValueError) as error:
        raise LabError(
            f"{folder} holds no results", value=error, expected="a runs.csv, as labkit loadtest writes"
        ) from None
    for column in ("name", "void"):
        found[column] = ["" if pd.isna(value) else str(value) for value in found[column]]
    return found


def compare(new: pd.DataFrame, old: pd.DataFrame, key: str = "name") -> pd.DataFrame:
    """Return new / old with 95 % intervals, by key and measure; raises LabError where there are none.

    Runs without a name have nothing by which they could be joined.
    """
    rows = []
    for name in sorted(set(new[key]) & set(old[key]) - {""}):
        a, b = (each[(each[key] == name) & (each.void == "")] for each in (new, old))
        if min(len(a), len(b)) < 2:
            continue
        for measure in MEASURES:
            found = ratio(a[measure], b[measure])
            verdict = "no difference" if found.holds(1) else "more" if found.estimate > 1 else "less"
            rows.append({key: name, "measure": measure, "ratio": found.estimate, "low": found.low, "high": found.high,
                         "verdict": verdict, "runs": f"{len(a)}, {len(b)}"})  # fmt: skip
    if not rows:
        counts = [f"{(each.void == '').sum()} of {len(each)} runs" for each in (new, old)]
        raise LabError("nothing to compare: no key has two runs on both sides that are not void",
                       value=" and ".join(counts), expected=f"the same {key}, at least 2 runs each, better 5",
                       next_step="--runs 5; a quieter machine, or a lower rate")  # fmt: skip
    return pd.DataFrame(rows)
