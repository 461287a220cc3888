"""Samples: one row a request, kept whole; everything else is computed from them.

A run's table has the generator's columns in seconds. `response` counts from the intended time, `service` from the time
of sending: the first is what a user waits, the second what a tool that waits for its answers would have seen.
Percentiles are of exact rows: answered requests and those that timed out (they took at least so long).

A file of samples is what generators wrote, unchanged: CSV whose comments are JSON. It is written while a run goes on,
so a killed run keeps what it had; when the disk is full the rest stays in memory, and `Recorder.problem` says so.
"""

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labkit.errors import LabError
from labkit.loadtest.generator import COLUMNS
from labkit.loadtest.plan import Plan, from_dict
from labkit.loadtest.stats.warmup import mser5, second_means

TIMES = ["scheduled", "woken", "sent", "connected", "first_byte", "done"]
LAG_FLOOR, LAG_SHARE = 0.001, 0.05  # seconds; of the median response
LEAST_SENT, MOST_CPU, LONGEST_HICCUP, MOST_LATE = 0.99, 0.70, 0.100, 0.05  # of the plan; cores; seconds; of the plan


@dataclass(frozen=True)
class Run:
    """One run: its plan, its rows, when it began (wall clock), and what each generator measured beside it."""

    plan: Plan
    table: pd.DataFrame
    began: float
    facts: tuple[dict[str, Any], ...] = ()

    @cached_property
    def warmup(self) -> float:
        """Seconds that are dropped: the plan's, or what MSER-5 finds on means of a second."""
        if self.plan.warmup >= 0:
            return self.plan.warmup
        rows = self.table[_timed(self.table)]
        return float(mser5(second_means(rows.scheduled.to_numpy(), (rows.done - rows.scheduled).to_numpy())))

    @cached_property
    def steady(self) -> pd.DataFrame:
        """The rows after the warm-up."""
        return self.table[self.table.scheduled >= self.warmup] if self.warmup else self.table

    @cached_property
    def answered(self) -> pd.DataFrame:
        """The steady rows whose time counts."""
        return self.steady[_timed(self.steady)]

    @property
    def response(self) -> np.ndarray:
        """Seconds from the intended time to the end of the answer."""
        return (self.answered.done - self.answered.scheduled).to_numpy()

    @property
    def service(self) -> np.ndarray:
        """Seconds from sending to the end of the answer."""
        return (self.answered.done - self.answered.sent).to_numpy()

    @property
    def lag(self) -> np.ndarray:
        """Seconds by which the generator set out too late."""
        return (self.table.woken - self.table.scheduled).to_numpy()

    @property
    def errors(self) -> dict[str, int]:
        """How many requests failed, by kind."""
        return {str(k): int(n) for k, n in self.table.error.value_counts().sort_index().items() if k and n}

    @property
    def achieved(self) -> float:
        """Good answers a second, after the warm-up and until the plan's end."""
        good = self.steady[(self.steady.error == "") & (self.steady.done <= self.plan.seconds)]
        return len(good) / max(self.plan.seconds - self.warmup, 1e-9)

    @property
    def saturated(self) -> bool:
        """Whether requests had to wait behind the cap: the target could not keep up."""
        return bool(((self.table.sent - self.table.woken) > LAG_FLOOR).mean() > 1 - LEAST_SENT)

    @property
    def void(self) -> list[str]:
        """Why this run says more about the generator than about the target; empty when it does not."""
        if self.table.empty:
            return ["run without a request"]
        found = [
            *(self._appointments() if self.plan.is_open else ()),
            *(r for each in self.facts for r in self._beside(each)),
        ]
        return [why for holds, why in [*found, (not self.facts, "generator that ended without its last line")] if holds]

    def _appointments(self) -> Iterable[tuple[bool, str]]:
        """Whether requests were sent when they were meant to be."""
        lag, median = quantile(self.lag, 0.99), quantile(self.response, 0.5)
        bound = max(LAG_FLOOR, LAG_SHARE * median) if len(self.response) else LAG_FLOOR
        sent = (self.table.sent <= self.plan.seconds + LAG_FLOOR).mean()
        yield lag > bound, f"lag (p99) of {lag * 1e3:.1f} ms, above {bound * 1e3:.1f} ms"
        yield sent < LEAST_SENT and not self.saturated, f"pace of {sent:.0%}: so much was sent in the plan's time"

    def _beside(self, facts: dict[str, Any]) -> Iterable[tuple[bool, str]]:
        """What a generator measured of itself and its machine."""
        cpu, hiccup, late = facts["generator_cpu"], facts.get("longest_hiccup", 0), facts.get("late", 0)
        yield cpu > MOST_CPU, f"generator at {cpu:.0%} of a core, above {MOST_CPU:.0%}"
        yield hiccup > LONGEST_HICCUP, f"hiccup of {hiccup * 1e3:.0f} ms, above {LONGEST_HICCUP * 1e3:.0f} ms"
        yield late > MOST_LATE * self.plan.seconds, f"generator that began {late:.1f} s late"
        yield bool(facts.get("interrupted")), "run that was interrupted"

    def pod_cpu(self) -> dict[str, float]:
        """Return the processor time (cores) that each pod used meanwhile, as the pods told it."""
        told = self.table[self.table.cpu.notna() & (self.table.pod != "")].groupby("pod", observed=True)
        used = told.cpu.max() - told.cpu.min()
        return {str(pod): float(seconds) / self.plan.seconds for pod, seconds in used.items()}


class Recorder:
    """Takes generators' lines as they come, into memory and into FILE.GENERATOR.csv."""

    def __init__(self, file: Path | None = None, progress: Any = None) -> None:
        self.file, self.progress, self.texts, self.problem = file, progress, dict[str, list[str]](), ""
        self._open: dict[str, Any] = {}
        self.end_early: Callable[[], object] = bool  # set by who starts the generators

    def take(self, line: str, generator: str = "0") -> None:
        """Keep one line; a file that takes no more is given up, its problem is kept."""
        self.texts.setdefault(generator, []).append(line)
        if self.file and not self.problem:
            try:
                self._out(generator).write(line)
            except OSError as error:
                self._give_up(error)
        if self.progress:
            self.progress(line)

    def close(self) -> None:
        """Finish the files."""
        for name in list(self._open):
            try:
                self._open.pop(name).close()
            except OSError as error:
                self._give_up(error)

    def runs(self) -> list[Run]:
        """Return the runs so far."""
        return read("".join(lines) for lines in self.texts.values())

    def _out(self, generator: str) -> Any:
        if generator not in self._open:
            assert self.file
            self.file.parent.mkdir(parents=True, exist_ok=True)
            path = self.file.with_name(f"{self.file.name}.{generator}.csv")
            self._open[generator] = path.open("w", buffering=1 << 16)
        return self._open[generator]

    def _give_up(self, error: OSError) -> None:
        self.problem = f"{self.file}: {error.strerror}; the samples that are not in it are kept in memory alone"
        for name in list(self._open):
            with contextlib.suppress(OSError):
                self._open.pop(name).close()


def read_folder(folder: Path) -> list[Run]:
    """Read all samples of a folder of results; raises LabError when there are none."""
    sent: dict[str, list[str]] = {}
    for path in sorted(folder.glob("samples-*.csv")):
        sent.setdefault(path.name.split(".")[0], []).append(path.read_text())
    if not sent:
        raise LabError(f"{folder} holds no samples", expected="a folder that `labkit loadtest … --out` wrote")
    return [run for texts in sent.values() for run in read(texts)]


def read(texts: Iterable[str]) -> list[Run]:
    """Read what generators wrote; runs of the same number were sent together, and become one."""
    parts: dict[int, list[Run]] = {}
    for text in texts:
        for number, run in _one_text(text[: text.rfind("\n") + 1]):
            parts.setdefault(number, []).append(run)
    return [_together(parts[number]) for number in sorted(parts)]


def quantile(values: np.ndarray, at: float) -> float:
    """Return an exact percentile of the values, NaN without any."""
    return float(np.quantile(values, at)) if len(values) else float("nan")


def _timed(table: pd.DataFrame) -> pd.Series:
    return (table.status > 0) | (table.error == "timeout")


def _one_text(text: str) -> list[tuple[int, Run]]:
    lines = text.splitlines()  # among them may be a warning of Python's: a pod's log has both streams
    comments = [json.loads(line[2:]) for line in lines if line.startswith("# {")]
    rows = "\n".join(line for line in lines if line[:1].isdigit())
    words = dict.fromkeys(("error", "pod"), str)
    table = pd.read_csv(io.StringIO(rows), names=list(COLUMNS), dtype=words, keep_default_na=False, na_values=[""])
    for name in COLUMNS:
        if name in words:
            table[name] = table[name].fillna("").astype("category")
        elif name != "run":
            table[name] = table[name].astype(float) / (1e6 if name in TIMES else 1)
    facts = {c["run"]: c["facts"] for c in comments if "facts" in c}
    return [
        (c["run"], Run(from_dict(c["plan"]), table[table.run == c["run"]].drop(columns="run").sort_values("scheduled"),
                       c["began"], (facts[c["run"]] | {"late": c["late"]},) if c["run"] in facts else ()))
        for c in comments if "plan" in c
    ]  # fmt: skip


def _together(runs: Sequence[Run]) -> Run:
    """Make one run of the shares of one plan, on the clock of the first to begin."""
    first = min(runs, key=lambda run: run.began)
    if len(runs) == 1:
        return first
    tables = []
    for run in runs:
        moved = run.table.copy()
        moved[TIMES] += run.began - first.began
        tables.append(moved.astype({"error": str, "pod": str}))
    table = pd.concat(tables).sort_values("scheduled").astype({"error": "category", "pod": "category"})
    sums = {name: sum(getattr(run.plan, name) for run in runs) for name in ("keep", "clients", "max_in_flight")}
    whole = replace(first.plan, share=(0, 1), **sums)
    facts = tuple(each for run in runs for each in run.facts)
    return Run(whole, table, first.began, facts if len(facts) == len(runs) else ())
