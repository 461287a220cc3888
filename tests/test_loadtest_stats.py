"""The statistics against truth: simulated systems whose answer is known. Seeds are fixed; the longest is slow."""

import numpy as np
import pytest

from labkit.errors import LabError
from labkit.loadtest.stats.fairness import power, spread
from labkit.loadtest.stats.intervals import bootstrap, over_runs, ratio
from labkit.loadtest.stats.queueing import lindley, mm1_wait, mmc_wait, random_split_wait, replay, simulate
from labkit.loadtest.stats.scaling import fit_usl, knee, usl
from labkit.loadtest.stats.warmup import mser5, second_means

# --- queues ----------------------------------------------------------


def test_erlangs_formula_gives_the_values_of_the_tables():
    assert mm1_wait(0.8, 1) == pytest.approx(4)
    assert mmc_wait(0.8, 1, 1) == pytest.approx(4)
    assert mmc_wait(1.6, 1, 2) == pytest.approx(1.7778, abs=1e-3)  # C(2, 1.6) = 0.7111
    assert mmc_wait(320, 0.0101, 4) == pytest.approx(0.0083, abs=5e-4)
    assert mmc_wait(4, 1, 4) == mm1_wait(1, 1) == np.inf


def test_a_split_by_lot_waits_far_longer_than_one_queue():
    assert random_split_wait(320, 0.0101, 4) == pytest.approx(mm1_wait(80, 0.0101))
    assert random_split_wait(320, 0.0101, 4) > 5 * mmc_wait(320, 0.0101, 4)


@pytest.mark.parametrize(("rate", "workers"), [(0.5, 1), (0.8, 1), (1.6, 2), (3.2, 4)])
def test_a_simulated_queue_is_as_long_as_its_model_says(rate, workers):
    means = [simulate(rate, 1.0, 40_000, seed, workers).mean() for seed in range(8)]
    assert over_runs(means, 0.999).holds(mmc_wait(rate, 1.0, workers) + 1)


def test_lindley_replays_what_can_be_counted_by_hand():
    assert list(lindley([0, 1, 2, 9], [3, 3, 3, 1])) == [0, 2, 4, 0]
    assert list(lindley([0, 1, 2, 9], [3, 3, 3, 1], workers=2)) == [0, 0, 1, 0]


def test_a_replay_gives_each_pod_its_own_queue():
    arrivals, services = np.array([0.0, 1, 2, 3]), np.array([5.0, 5, 1, 1])
    assert list(replay(arrivals, services, ["a", "b", "a", "b"])) == [0, 0, 3, 3]


# --- intervals ----------------------------------------------------------


def coverage(load, repeats, seed=0, requests=3000):
    """How often each nominal 95 % interval holds the mean response of M/M/1, five runs each."""
    truth, hits = mm1_wait(load, 1) + 1, np.zeros(3)
    for number in range(repeats):
        runs = [simulate(load, 1.0, requests, seed + 10 * number + each) for each in range(5)]
        means = [run.mean() for run in runs]
        intervals = (over_runs(means), bootstrap(means, number, 400), bootstrap(np.concatenate(runs), number, 100))
        hits += [each.holds(truth) for each in intervals]
    return hits / repeats


def test_the_interval_over_requests_misleads_and_the_one_over_runs_does_not():
    over, _, requests = coverage(0.8, 40)
    assert over >= 0.85
    assert requests <= 0.40


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_coverage_over_runs_is_as_nominal_and_the_bootstraps_are_not():
    over, runs, requests = coverage(0.5, 1000, seed=7)
    print(f"coverage of 95 %: t over runs {over:.1%}, bootstrap over runs {runs:.1%}, over requests {requests:.1%}")
    assert 0.93 <= over <= 0.97
    assert runs < 0.92
    assert requests < 0.60


def test_t_over_runs_is_students():
    found = over_runs([10, 12, 14])
    assert (found.estimate, found.low, found.high) == pytest.approx((12, 7.032, 16.968), abs=1e-3)


def test_a_ratio_of_the_same_holds_one_and_of_double_holds_two():
    drawn = np.random.default_rng(4)
    old, same, double = drawn.normal(10, 1, 5), drawn.normal(10, 1, 5), drawn.normal(20, 1, 5)
    assert ratio(same, old).holds(1)
    assert ratio(double, old).holds(2)
    assert not ratio(double, old).holds(1)


def test_ratios_intervals_hold_the_truth_about_as_often_as_they_say():
    drawn = np.random.default_rng(5)
    hits = [ratio(drawn.normal(20, 3, 5), drawn.normal(10, 1, 5)).holds(2) for _ in range(1000)]
    assert 0.93 <= np.mean(hits) <= 0.97


def test_a_ratio_to_what_may_be_nothing_has_no_bound():
    assert ratio([1, 2, 3], [-1, 0, 1.1]).high == np.inf


def test_one_run_has_no_interval():
    with pytest.raises(LabError, match="one run has no interval"):
        over_runs([1.0])


# --- warm-up ----------------------------------------------------------


def test_a_warm_up_is_found_and_a_steady_run_keeps_nearly_all():
    drawn = np.random.default_rng(1)
    steady = drawn.normal(10, 1, 60)
    warm = steady + np.concatenate([np.linspace(20, 0, 15), np.zeros(45)])
    assert 10 <= mser5(warm) <= 20
    assert mser5(steady) <= 15
    assert mser5(steady[:9]) == 0


def test_means_of_a_second_skip_none():
    assert list(second_means(np.array([0.1, 0.9, 2.5]), np.array([1.0, 3, 5]))) == [2, 2, 5]


# --- fairness ----------------------------------------------------------


def test_a_fair_spread_is_called_uneven_as_often_as_alpha_says():
    drawn = np.random.default_rng(2)
    alarms = [spread(drawn.multinomial(1000, [0.25] * 4)).p < 0.05 for _ in range(4000)]
    assert 0.04 <= np.mean(alarms) <= 0.06


def test_requests_over_kept_connections_cry_wolf():
    drawn = np.random.default_rng(3)
    alarms = []
    for _ in range(300):  # sixteen connections, each to a pod by lot, a thousand requests over them
        connections = drawn.integers(0, 4, 16)
        alarms.append(spread(np.bincount(connections[drawn.integers(0, 16, 1000)], minlength=4)).p < 0.05)
    assert np.mean(alarms) > 0.9


def test_the_power_says_what_could_have_been_seen():
    share = [27, 25, 25, 23]
    assert power(share, 1000) == pytest.approx(0.28, abs=0.05)
    assert power(share, 5000) == pytest.approx(0.93, abs=0.05)
    assert power([25] * 4, 1000) == 0.05


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ([250, 251, 249, 250], "more even than chance"),
        ([400, 200, 200, 200], "uneven"),
        ([240, 262, 255, 243], "as even as chance"),
    ],
)
def test_the_verdict_is_said_in_words(counts, verdict):
    assert spread(counts).verdict == verdict


def test_expected_shares_may_differ():
    assert spread([200, 100], [2, 1]).p == 1.0


def test_the_band_holds_a_fair_spread():
    found = spread([240, 262, 255, 243])
    assert all(abs(c - e) < b for c, e, b in zip(found.counts, found.expected, found.band, strict=True))


# --- scaling ----------------------------------------------------------

LEVELS, TRUE = (1, 2, 3, 4, 6, 8), (100.0, 0.05, 0.01)  # N* = 9.75


def measured(levels, seed=0, noise=0.01, runs=5, law=TRUE):
    drawn = np.random.default_rng(seed)
    return {n: usl(n, *law) * drawn.normal(1, noise, runs) for n in levels}


def test_the_law_is_recovered_from_six_levels():
    found = fit_usl(measured(LEVELS))
    assert (found.rate, found.contention, found.coherency) == pytest.approx(TRUE, rel=0.15)
    assert found.peak.estimate == pytest.approx(9.75, rel=0.08)
    assert found.peak.holds(9.75)


def test_three_levels_are_not_enough_however_well_they_fit():
    with pytest.raises(LabError, match="not identifiable") as refused:
        fit_usl({1: [100.0] * 5, 2: [160.0] * 5, 4: [160.0] * 5})
    assert "3 levels: 1, 2, 4" in str(refused.value)


def test_a_line_has_no_peak():
    found = fit_usl(measured(LEVELS, law=(100.0, 0.0, 0.0)))
    assert found.peak is None
    low, high = found.band(np.array([8]))
    assert low[0] <= 805
    assert high[0] >= 780


def test_the_peaks_interval_holds_the_truth_nearly_always():
    peaks = [fit_usl(measured(LEVELS, seed), seed, draws=60).peak for seed in range(30)]
    assert sum(peak is not None and peak.holds(9.75) for peak in peaks) >= 26


def test_the_knee_is_the_highest_rate_that_keeps_the_objective():
    asked = []

    def p95s(rate):
        asked.append(rate)
        return [0.02 / (1 - rate / 100) * factor for factor in (0.99, 1, 1.01)]

    found = knee(p95s, [20, 40, 60, 80, 95], objective=0.1, halvings=5)
    assert found.low <= 79.5 <= found.high + 1
    assert found.high - found.low < 2
    assert asked[:4] == [20, 40, 60, 80]


def test_without_a_bad_rate_there_is_no_upper_bound():
    assert knee(lambda rate: [0.01, 0.0101], [10, 20], objective=1).high == np.inf
