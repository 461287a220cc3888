"""Pictures of runs, each with a text twin. A figure that differs from run to run has ≈ before it: nbval compares the
words and leaves such figures alone. Beside a run's picture stands how late its requests were sent; one of a void run
says so (∅), and why.
"""

import io
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from labkit.draw.picture import Picture
from labkit.loadtest.samples import Run, quantile
from labkit.loadtest.stats.fairness import Spread
from labkit.loadtest.stats.intervals import Interval, over_runs
from labkit.loadtest.stats.scaling import Usl

WIDTH, HEIGHT, WIDTHS = 9.0, 3.4, (4, 1)  # inches; a picture and its lag beside it
ROOM, ROW = 0.8, 0.4  # inches: a forest's title and axis, and each of its rows
A_POINT = 20  # requests, on average, of which a percentile over time is drawn
CAPTION = 120  # characters of a line below a chart
NINES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
RUN_OUT = 10  # a percentile with fewer requests beyond it is drawn faint


def ms(seconds: float) -> str:
    """Write a time that varies."""
    return f"≈{seconds * 1e3:,.1f} ms" if np.isfinite(seconds) else "≈∞ ms"


def spectrum(run: Run) -> Picture:
    """Draw all percentiles of both clocks, on an axis that gives each nine the same room."""
    clocks = {"response": run.response, "service": run.service}
    lines = [f"{name}: " + ", ".join(f"{what} {ms(quantile(v, q))}" for what, q in
                                    (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1)))
             for name, v in clocks.items()]  # fmt: skip

    def paint(axes: Any) -> None:
        count = max(2, len(run.response))
        nines = np.linspace(0, np.log10(count), 400)
        for (name, values), colour in zip(clocks.items(), ("C0", "C1"), strict=True):
            axes.semilogy(
                nines, np.quantile(values, 1 - 10**-nines) * 1e3 if len(values) else nines, colour, label=name
            )
        limit = np.log10(count / RUN_OUT)
        axes.axvspan(limit, nines[-1], alpha=0.15, color="gray", label=f"fewer than {RUN_OUT} requests beyond")
        shown = [q for q in NINES if -np.log10(1 - q) <= nines[-1]]
        axes.set_xticks([-np.log10(1 - q) for q in shown], [f"{100 * q:g} %" for q in shown])
        axes.set(xlabel="requests that took at most so long", ylabel="ms")
        axes.legend()

    return _picture(_of("percentile spectrum", run), lines, paint, run)


def over_time(run: Run, marks: Sequence[tuple[float, str]] = ()) -> Picture:
    """Draw responses by their intended time, errors, the warm-up, and what happened meanwhile as vertical marks."""
    lost = sum(run.errors.values())
    told = {"errors": f"≈{lost}" if lost else "none", "events": f"≈{len(marks)}" if marks else "none"}
    told |= {"warm-up": f"≈{run.warmup:.0f} s"} if run.warmup else {}
    lines = [" · ".join(f"{name}: {figure}" for name, figure in told.items())]

    def paint(axes: Any) -> None:
        rows = run.table
        good, width = rows[rows.error == ""], run.plan.seconds / min(200, max(1, len(rows) / A_POINT))
        times = (good.done - good.scheduled) * 1e3
        by = times.groupby((good.scheduled // width) * width)
        for at, label in ((0.5, "p50"), (0.95, "p95")):
            each = by.quantile(at)
            axes.semilogy(each.index, each.to_numpy(), label=label)
        bad = rows[rows.error != ""]
        axes.plot(
            bad.scheduled,
            ((bad.done - bad.scheduled) * 1e3).clip(lower=0.1),
            "x",
            color="C3",
            label=", ".join(run.errors) or "no error",
        )
        axes.axvspan(0, run.warmup, alpha=0.15, color="gray")
        for at, _ in marks:
            axes.axvline(at, color="black", lw=0.6, ls=":")
        axes.set(xlabel="\n".join(["seconds", *_moments(marks)]), ylabel="response, ms")
        axes.legend(loc="upper left")

    return _picture(_of("requests over time", run), lines, paint, run)


def _moments(marks: Sequence[tuple[float, str]]) -> list[str]:
    """Return for each second in which something happened what it was, and how often."""
    seen: dict[str, Counter[str]] = {}
    for at, what in marks:
        seen.setdefault(f"{at:.0f} s", Counter())[what] += 1
    lines = []
    for second, happened in seen.items():
        told = ", ".join(what if count == 1 else f"{count} × {what}" for what, count in happened.items())
        lines += textwrap.wrap(f"{second}: {told}", CAPTION)
    return lines


def shares(found: Spread, names: Sequence[str]) -> Picture:
    """Draw each pod's share with the band in which chance alone keeps it."""

    def paint(axes: Any) -> None:
        places = np.arange(len(names))
        axes.bar(places, found.counts, color="C0")
        axes.errorbar(
            places, found.expected, yerr=found.band, fmt="none", ecolor="black", capsize=12, label="expected, 95 %"
        )
        axes.set_xticks(places, names, size=7)
        axes.legend(title=found.verdict)

    return _picture("share of each pod", [f"{len(names)} pods, p ≈{found.p:.3f}"], paint)


def throughput_latency(p95s: Mapping[float, Sequence[float]], objective: float, knee: Interval,
                       model: Callable[[float], float] | None = None) -> Picture:  # fmt: skip
    """Draw p95 over the rate *offered*, with intervals, objective, knee and a model's curve."""
    offered = sorted(p95s)
    each = [over_runs(p95s[rate]) for rate in offered]
    lines = [f"objective: p95 below {objective * 1e3:g} ms", f"knee: ≈{knee.low:.0f} requests a second"]

    def paint(axes: Any) -> None:
        middle = np.array([i.estimate for i in each]) * 1e3
        spread = np.array([[i.estimate - max(i.low, 1e-5), i.high - i.estimate] for i in each]).T * 1e3
        axes.errorbar(offered, middle, yerr=spread, fmt="o", capsize=4, label="measured, 95 %")
        if model:
            fine = np.linspace(offered[0], offered[-1], 200)
            axes.plot(fine, [model(rate) * 1e3 for rate in fine], label="model")
        axes.axhline(objective * 1e3, color="gray", ls="--", label="objective")
        axes.axvline(knee.low, color="C3", label="knee")
        axes.set(xlabel="offered, requests a second", ylabel="p95 of the response, ms", yscale="log")
        axes.set_ylim(min(middle) / 5, 5 * max(*middle, objective * 1e3))  # an interval of few runs may reach below 0
        axes.legend(loc="upper left")

    return _picture("throughput and latency", lines, paint)


def forest(rows: Mapping[str, Interval], title: str, unit: str = "", reference: float | None = None) -> Picture:
    """Draw an interval a row: replicas, clusters."""
    lines = [f"{name}: ≈{i.estimate:.2f} [≈{i.low:.2f}, ≈{i.high:.2f}] {unit}".rstrip() for name, i in rows.items()]

    def paint(axes: Any) -> None:
        for place, (name, i) in enumerate(rows.items()):
            axes.plot([i.low, i.high], [-place, -place], color="C0")
            axes.plot(i.estimate, -place, "o", color="C0", label=name)
        axes.set_yticks([-place for place in range(len(rows))], list(rows))
        axes.set_ylim(0.5 - len(rows), 0.5)
        axes.set_xlabel(unit)
        if reference is not None:
            axes.axvline(reference, color="gray", ls="--")

    return _picture(title, lines, paint, height=ROOM + ROW * len(rows))


def scaling(fit: Usl, throughputs: Mapping[int, Sequence[float]]) -> Picture:
    """Draw runs' throughputs by replicas, the law with its band, and the line that perfect scaling would be."""
    peak = fit.peak.estimate if fit.peak else np.inf  # none that the runs agree on
    lines = [f"contention σ ≈{fit.contention:.3f}, coherency κ ≈{fit.coherency:.4f}, peak N* ≈{peak:.1f}"]

    def paint(axes: Any) -> None:
        levels = np.linspace(1, 1.25 * max(throughputs), 100)
        low, high = fit.band(levels)
        axes.fill_between(levels, low, high, alpha=0.2, color="C0", label="95 %")
        axes.plot(levels, fit.at(levels), color="C0", label="law")
        axes.plot(levels, fit.rate * levels, color="gray", ls=":", label="linear")
        for replicas, values in throughputs.items():
            axes.plot([replicas] * len(values), values, ".", color="black")
        axes.set(
            xlabel="replicas", ylabel="answers a second", ylim=(0, 1.3 * max(max(v) for v in throughputs.values()))
        )
        axes.legend()

    return _picture("Universal Scalability Law", lines, paint)


def _lag(axes: Any, run: Run) -> None:
    axes.hist(
        np.log10(np.clip(run.lag, 1e-6, None) * 1e3), bins=np.linspace(-3, 4, 57), color="C2" if not run.void else "C3"
    )
    axes.set(title="lag: sent too late", xlabel="log₁₀ ms", yticks=[])


def _of(what: str, run: Run) -> str:
    return f"{what}: {run.plan.name}" if run.plan.name else what


def _picture(title: str, lines: Sequence[str], paint: Callable[[Any], None], run: Run | None = None,
             height: float = HEIGHT) -> Picture:  # fmt: skip
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    void = [f"∅ void: {why}" for why in run.void] if run else []
    settings: Any = {"svg.hashsalt": title, "svg.fonttype": "none", "axes.titlesize": 10, "font.size": 8}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(1, 2, width_ratios=WIDTHS) if run else [figure.subplots()]
        paint(axes[0])
        if axes[0].get_yscale() == "log":
            axes[0].yaxis.set(major_formatter=LogFormatter(), minor_formatter=LogFormatter())
        axes[0].set_title(" · ".join([title, *void[:1]]))
        if run:
            _lag(axes[1], run)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return Picture(out.getvalue(), "\n".join([title, *(f"  {line}" for line in [*lines, *void])]))
