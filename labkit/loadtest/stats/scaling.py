"""How it scales: the Universal Scalability Law, and the knee of throughput and latency.

USL (Gunther): X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), σ contention, κ coherency, both ≥ 0; its peak N* = √((1 − σ)/κ).
Three parameters through the means of 1, 2, 4 replicas fit anything: below six levels nothing is claimed. N* is given
only where nearly all resampled fits have one.

The knee by definition: the highest rate whose p95 interval lies under a stated objective.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labkit.errors import LabError
from labkit.loadtest.stats.intervals import Interval, over_runs

LEAST_LEVELS = 6
NO_PEAK = 1e-6  # κ below this is none: N* beyond a thousand


@dataclass(frozen=True)
class Usl:
    """A fit; `draws` are those of resampled runs, `peak` is N* with its interval, None where the data show none."""

    rate: float
    contention: float
    coherency: float
    draws: np.ndarray
    peak: Interval | None

    def at(self, replicas: np.ndarray) -> np.ndarray:
        """Return the throughput that the fit expects."""
        return usl(replicas, self.rate, self.contention, self.coherency)

    def band(self, replicas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the 95 % band of the resampled fits."""
        curves = np.array([usl(replicas, *draw) for draw in self.draws])
        low, high = np.quantile(curves, [0.025, 0.975], axis=0)
        return low, high


def usl(n: np.ndarray, rate: float, contention: float, coherency: float) -> np.ndarray:
    """Return the law's throughput."""
    n = np.asarray(n, dtype=float)
    return rate * n / (1 + contention * (n - 1) + coherency * n * (n - 1))


def fit_usl(throughputs: Mapping[int, Sequence[float]], seed: int = 0, draws: int = 200) -> Usl:
    """Fit runs' throughputs by replicas; raises LabError ("not identifiable") below six levels."""
    if len(throughputs) < LEAST_LEVELS:
        raise LabError(
            "not identifiable: three parameters through so few levels fit anything, so there is no N*",
            value=f"{len(throughputs)} levels: {', '.join(map(str, sorted(throughputs)))}",
            expected=f"at least {LEAST_LEVELS}, e.g. 1, 2, 3, 4, 6, 8 replicas",
        )
    levels = np.array(sorted(throughputs))
    drawn = np.random.default_rng(seed)
    means = np.array([np.mean(throughputs[n]) for n in levels])
    best = _least_squares(levels, means)
    residuals = np.concatenate([np.asarray(throughputs[n]) / usl(n, *best) - 1 for n in levels])
    scale = np.array([len(throughputs[n]) for n in levels]) ** -0.5
    refits = []
    for _ in range(draws):  # the runs' scatter around the law, drawn anew
        scatter = drawn.choice(residuals, len(levels)) * scale * np.sqrt(len(residuals) / max(1, len(residuals) - 3))
        refits.append(_least_squares(levels, usl(levels, *best) * (1 + scatter)))
    fits = np.array(refits)
    peaked = fits[fits[:, 2] > NO_PEAK]
    peak = None
    if best[2] > NO_PEAK and len(peaked) >= 0.95 * len(fits):
        low, high = np.quantile(np.sqrt((1 - peaked[:, 1]).clip(0) / peaked[:, 2]), [0.025, 0.975])
        peak = Interval(float(np.sqrt((1 - best[1]) / best[2])), float(low), float(high))
    return Usl(float(best[0]), float(best[1]), float(best[2]), fits, peak)


def _least_squares(levels: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Fit relative errors; σ within 0 and 1, κ not below 0."""
    from scipy.optimize import least_squares

    def errors(p: np.ndarray) -> np.ndarray:
        return usl(levels, *p) / means - 1

    start = (means[0] / levels[0], 0.02, 0.001)
    return least_squares(errors, start, bounds=([0, 0, 0], [np.inf, 1, np.inf]), x_scale=(start[0], 0.1, 0.01)).x


def knee(
    p95s: Callable[[float], Sequence[float]], rates: Sequence[float], objective: float, halvings: int = 4
) -> Interval:
    """Return the highest rate whose p95 interval lies under the objective: upward in steps, then by bisection.

    p95s(rate) measures: the p95 (seconds) of each of its runs. `low` holds the objective, `high` is the lowest rate
    seen that does not (infinite when all do); the estimate is `low`.
    """
    good, bad = 0.0, np.inf
    for rate in sorted(rates):
        if over_runs(p95s(rate)).high < objective:
            good = rate
        else:
            bad = rate
            break
    for _ in range(halvings if np.isfinite(bad) else 0):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if over_runs(p95s(middle)).high < objective else (good, middle)
    return Interval(good, good, bad)
