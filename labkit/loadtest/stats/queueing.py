"""What queueing theory expects: M/M/1, M/M/c, and a replay of the very arrivals and service times that were measured.

Times in seconds, rates a second. A Service that balances by lot makes c queues of one worker each (c × M/M/1), not one
queue before c workers (M/M/c): the first waits far longer. The replay (Lindley's recursion; Kiefer and Wolfowitz for c
workers) assumes no distribution at all: what it leaves unexplained is the pods' own overhead.
"""

import heapq
import math
from collections.abc import Sequence

import numpy as np


def mm1_wait(rate: float, service: float) -> float:
    """Return the mean wait before service; infinite where it cannot keep up."""
    load = rate * service
    return load * service / (1 - load) if load < 1 else math.inf


def mmc_wait(rate: float, service: float, workers: int) -> float:
    """Return the mean wait before c workers (Erlang C)."""
    load = rate * service
    if load >= workers:
        return math.inf
    blocked = 1.0  # Erlang B by its recursion, which does not overflow
    for number in range(1, workers + 1):
        blocked = load * blocked / (number + load * blocked)
    busy = load / workers
    waits = blocked / (1 - busy * (1 - blocked))
    return waits * service / (workers - load)


def random_split_wait(rate: float, service: float, pods: int, workers: int = 1) -> float:
    """Return the mean wait where each request is sent to one of the pods by lot."""
    return mmc_wait(rate / pods, service, workers)


def lindley(
    arrivals: Sequence[float] | np.ndarray, services: Sequence[float] | np.ndarray, workers: int = 1
) -> np.ndarray:
    """Return how long each would wait, first come first served, before so many workers."""
    free = [0.0] * workers
    waits = np.empty(len(arrivals))
    for index, (arrived, takes) in enumerate(zip(arrivals, services, strict=True)):
        begins = max(arrived, free[0])
        waits[index] = begins - arrived
        heapq.heapreplace(free, begins + takes)
    return waits


def replay(arrivals: np.ndarray, services: np.ndarray, pods: Sequence[str], workers: int = 1) -> np.ndarray:
    """Return the waits with each pod's own queue: the same arrivals, service times and choice of pod."""
    waits, names = np.zeros(len(arrivals)), np.asarray(pods)
    for name in np.unique(names):
        its = np.flatnonzero(names == name)
        its = its[np.argsort(arrivals[its], kind="stable")]
        waits[its] = lindley(arrivals[its], services[its], workers)
    return waits


def simulate(rate: float, service: float, requests: int, seed: int, workers: int = 1) -> np.ndarray:
    """Return the response times of a simulated M/M/c."""
    drawn = np.random.default_rng(seed)
    arrivals = np.cumsum(drawn.exponential(1 / rate, requests))
    services = drawn.exponential(service, requests)
    return lindley(arrivals, services, workers) + services
