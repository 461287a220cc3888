"""Is the spread over pods fair? Pearson's chi-square, with what it could have seen: its power.

Count *connections*: requests that share a kept connection go to one pod together, so the test over requests cries wolf.
A p near 1 is a finding too: more even than chance, so not by lot (round robin).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.05


@dataclass(frozen=True)
class Spread:
    """The verdict: statistic, p, and the expected counts with the band in which chance alone would keep each."""

    counts: tuple[int, ...]
    expected: tuple[float, ...]
    band: tuple[float, ...]
    statistic: float
    p: float

    @property
    def verdict(self) -> str:
        """In words."""
        if self.p < ALPHA:
            return "uneven"
        return "more even than chance" if self.p > 1 - ALPHA else "as even as chance"


def spread(counts: Sequence[int], shares: Sequence[float] | None = None) -> Spread:
    """Compare counts with expected shares (by default, all alike)."""
    from scipy.stats import chi2, norm

    observed = np.asarray(counts, dtype=float)
    share = np.asarray(shares if shares is not None else [1] * len(observed), dtype=float)
    expected = observed.sum() * share / share.sum()
    statistic = float(((observed - expected) ** 2 / expected).sum())
    each = norm.ppf(1 - ALPHA / 2 / len(observed))  # Bonferroni: all pods at once
    band = each * np.sqrt(expected * (1 - share / share.sum()))
    p = float(chi2.sf(statistic, len(observed) - 1)) if len(observed) > 1 else 1.0
    return Spread(tuple(map(int, observed)), tuple(expected), tuple(band), statistic, p)


def power(shares: Sequence[float], requests: int, alpha: float = ALPHA) -> float:
    """Return how likely so many requests show that the spread is not even, were these the true shares."""
    from scipy.stats import chi2, ncx2

    share = np.asarray(shares, dtype=float) / sum(shares)
    effect = requests * float(((share - 1 / len(share)) ** 2 * len(share)).sum())
    return float(ncx2.sf(chi2.isf(alpha, len(share) - 1), len(share) - 1, effect)) if effect else alpha
