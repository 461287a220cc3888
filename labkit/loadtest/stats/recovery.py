"""How long a disturbance lasts: until there are no errors, the p95 is back in the interval of before, and both stay.

The interval is that of one more bin like those before the disturbance (a prediction interval), not that of their mean.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

BIN, STAY = 0.5, 2.0  # seconds


@dataclass(frozen=True)
class Recovery:
    """What a disturbance cost: requests lost, errors by kind, seconds to recover (None: not within the run)."""

    lost: int
    kinds: dict[str, int]
    seconds: float | None
    baseline: tuple[float, float]


def recovery(table: pd.DataFrame, at: float, end: float, stay: float = STAY, width: float = BIN) -> Recovery:
    """Judge the rows of a run disturbed at second `at`; bins by intended time."""
    from scipy.stats import t

    bins = (table.scheduled // width).astype(int)
    p95 = (table.done - table.scheduled).groupby(bins).quantile(0.95)
    bad = (table.error != "").groupby(bins).sum()
    before = np.asarray(p95[p95.index < int(at // width)], dtype=float)
    if len(before) < 3:
        raise ValueError(f"{len(before)} bins of {width} s before the disturbance at {at} s, expected at least 3")
    half = t.ppf(0.975, len(before) - 1) * before.std(ddof=1) * (1 + 1 / len(before)) ** 0.5
    high = float(before.mean() + half)
    numbers = range(int(at // width), int(end // width))
    calm = [bool(bad.get(n, 0) == 0 and p95.get(n, np.inf) <= high) for n in numbers]
    need = round(stay / width)
    first = next((i for i in range(len(calm) - need + 1) if all(calm[i : i + need])), None)
    kinds = {str(k): int(n) for k, n in table.error.value_counts().items() if k and n}
    seconds = None if first is None else max(0.0, (numbers[0] + first) * width - at)
    return Recovery(sum(kinds.values()), kinds, seconds, (float(before.mean() - half), high))
