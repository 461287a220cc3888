"""Where the warm-up ends: MSER-5 (White 1997), on means of a second.

The rule drops the beginning whose absence makes the mean's squared standard error least. In batches of five, so that
neighbours that depend on each other do not deceive it. A minimum in the second half says that the run never settled.
"""

import numpy as np

BATCH = 5


def second_means(at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean of each second's values; a second without any repeats the one before."""
    if not len(at):
        return np.array([])
    second = at.astype(int)
    counts = np.bincount(second)
    sums = np.bincount(second, weights=values)
    means = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    for index in np.flatnonzero(np.isnan(means)):
        means[index] = means[index - 1] if index else 0.0
    return means


def mser5(series: np.ndarray, batch: int = BATCH) -> int:
    """Return how many values to drop from the beginning; at most half of them."""
    count = len(series) // batch
    if count < 2:
        return 0
    means = np.asarray(series[: count * batch], dtype=float).reshape(count, batch).mean(axis=1)
    errors = [means[d:].var() / (count - d) for d in range(count // 2 + 1)]
    return int(np.argmin(errors)) * batch
