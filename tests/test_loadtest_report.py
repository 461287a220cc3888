"""Charts and reports of runs made by hand, so that every figure is known."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from labkit.errors import LabError
from labkit.loadtest import charts, report
from labkit.loadtest.plan import Plan
from labkit.loadtest.samples import Run
from labkit.loadtest.stats import fairness, intervals, scaling
from labkit.loadtest.stats.recovery import recovery
from labkit.normalise import text as normalised

FACTS = {"seconds": 10, "generator_cpu": 0.1, "steal": 0.0, "longest_hiccup": 0.001, "hiccups": [], "late": 0,
         "clock": "timerfd", "interrupted": False, "python": "3", "kernel": "6", "cores": 2}  # fmt: skip


def made(response=0.02, *, seconds=10.0, rate=100, lag=0.0001, name="web", errors=(), facts=None, **columns):
    """A run of evenly spaced requests, each of which took `response`."""
    at = np.arange(0, seconds, 1 / rate)
    rows = {"scheduled": at, "woken": at + lag, "sent": at + lag, "connected": at + lag, "first_byte": at + response,
            "done": at + response, "status": 200.0, "error": "", "pod": "p", "queue": 0.0, "work": response,
            "cpu": at / 10}  # fmt: skip
    table = pd.DataFrame(rows | columns)
    for row, kind in errors:
        table.loc[row, ["error", "status"]] = [kind, np.nan]
    plan = Plan("http://web/", ((rate, seconds),), name=name)
    return Run(plan, table.astype({"error": "category", "pod": "category"}), 1_000_000.0, (FACTS | (facts or {}),))


# --- when a run is void ----------------------------------------------------------


def test_a_run_in_time_is_not_void():
    assert made().void == []


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (made(lag=0.002), "lag (p99) of 2.0 ms, above 1.0 ms"),
        (made(facts={"generator_cpu": 0.9}), "generator at 90% of a core, above 70%"),
        (made(facts={"longest_hiccup": 0.25}), "hiccup of 250 ms, above 100 ms"),
        (made(facts={"late": 2.0}), "generator that began 2.0 s late"),
        (made(facts={"interrupted": True}), "run that was interrupted"),
    ],
)
def test_a_run_that_the_generator_spoilt_says_why(run, why):
    assert run.void == [why]


def test_a_slow_target_allows_more_lag():
    assert made(response=0.2, lag=0.009).void == []


def test_pods_tell_how_much_processor_they_used():
    assert made().pod_cpu() == {"p": pytest.approx(0.1, rel=0.02)}


# --- recovery ----------------------------------------------------------


def disturbed():
    """Two seconds of errors from the fourth on, then a second of slow answers."""
    at = np.arange(0, 10, 0.01)
    slow = np.where((at >= 6) & (at < 7), 0.5, 0.02 + 0.001 * np.sin(at))
    return made(done=at + slow, errors=[(row, "refused") for row in range(400, 600)])


def test_it_has_recovered_when_errors_are_none_and_p95_is_back_for_a_while():
    found = recovery(disturbed().table, at=4, end=10)
    assert found.lost == 200
    assert found.kinds == {"refused": 200}
    assert found.seconds == pytest.approx(3.0, abs=0.5)


def test_it_has_not_recovered_when_the_run_is_over_too_soon():
    assert recovery(disturbed().table, at=4, end=7.5).seconds is None


def test_a_baseline_needs_some_time():
    with pytest.raises(ValueError, match="expected at least 3"):
        recovery(disturbed().table, at=0.5, end=10)


# --- charts ----------------------------------------------------------

LEVELS = {n: list(scaling.usl(n, 100, 0.05, 0.01) * np.array([0.99, 1, 1.01])) for n in (1, 2, 3, 4, 6, 8)}
PICTURES = {
    "spectrum": lambda: charts.spectrum(made()),
    "over_time": lambda: charts.over_time(disturbed(), [(4.0, "Killing pod")]),
    "shares": lambda: charts.shares(fairness.spread([10, 12]), ["a", "b"]),
    "throughput_latency": lambda: charts.throughput_latency(
        {10: [0.1, 0.11], 20: [0.3, 0.31]}, 0.2, intervals.Interval(10, 10, 20), model=lambda rate: rate / 100
    ),
    "forest": lambda: charts.forest({"two": intervals.Interval(1.9, 1.8, 2.0)}, "speed-up", reference=1),
    "scaling": lambda: charts.scaling(scaling.fit_usl(LEVELS, draws=20), LEVELS),
}


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_a_picture_is_drawn_alike_each_time_and_has_a_twin(picture):
    one, again = picture(), picture()
    assert one.svg == again.svg
    assert one.svg.lstrip().startswith("<?xml")
    assert len(one.text.splitlines()) >= 2


def test_a_twin_says_the_same_of_runs_that_differ_in_figures_alone():
    one, other = charts.spectrum(made(0.020)), charts.spectrum(made(0.033))
    assert one.text != other.text
    assert normalised(one.text) == normalised(other.text)


def test_a_void_runs_picture_says_so_and_its_twin_is_compared_without():
    void, good = charts.spectrum(made(lag=0.005)), charts.spectrum(made())
    assert "∅ void: lag (p99) of 5.0 ms" in void.text
    assert "∅ void" in void.svg
    assert normalised(void.text).strip() == normalised(good.text).strip()


def test_what_happened_in_one_second_is_told_in_one_line():
    happened = [(4.0, "Killing pod"), (4.0, "Killing pod"), (4.2, "Started pod"), (6.0, "Killing pod")]
    svg = charts.over_time(disturbed(), happened).svg
    assert "4 s: 2 × Killing pod, Started pod<" in svg
    assert "6 s: Killing pod<" in svg


def test_a_twin_tells_whether_there_were_errors():
    assert "errors: ≈200 · events: ≈1" in PICTURES["over_time"]().text
    assert "errors: none · events: none" in charts.over_time(made()).text


# --- the report ----------------------------------------------------------


def test_the_table_has_a_row_a_run_with_keys_and_both_clocks():
    (row,) = report.table([made(name="x")], cluster="here").to_dict("records")
    assert (row["cluster"], row["name"], row["loop"], row["requests"], row["errors"]) == ("here", "x", "open", 1000, 0)
    assert row["p99"] == pytest.approx(0.02)
    assert row["service_p99"] == pytest.approx(0.0199)
    assert row["void"] == ""


def test_a_report_discloses_plan_seed_versions_and_void_runs():
    text = report.disclose([made(), made(lag=0.005)], cluster="here")
    assert '"seed": 0' in text
    assert "- run 1 (web): lag (p99) of 5.0 ms" in text
    assert re.search(r"labkit \S+, python 3, kernel 6, cores 2, clock timerfd, cluster here", text)


def folder(tmp_path, name, response, **options):
    drawn = np.random.default_rng(len(name))
    runs = [made(response * drawn.normal(1, 0.02), seconds=2.0, **options) for _ in range(3)]
    report.save(runs, tmp_path / name, cluster=name)
    return report.load(tmp_path / name)


def test_two_folders_compare_as_ratios_with_intervals(tmp_path):
    new, old = folder(tmp_path, "new", 0.04), folder(tmp_path, "old!", 0.02)
    found = report.compare(new, old).set_index("measure")
    assert found.low["p95"] < 2 < found.high["p95"]
    assert found.verdict["p95"] == "more"
    assert set(report.compare(new, new).verdict) == {"no difference"}
    assert {path.name for path in (tmp_path / "new").iterdir()} >= {"report.md", "runs.csv", "spectrum-0.svg"}


def test_runs_without_a_name_are_not_compared(tmp_path):
    new, old = folder(tmp_path, "new", 0.04), folder(tmp_path, "old!", 0.02)
    for each in (new, old):
        each["name"] = ""
    with pytest.raises(LabError, match="nothing to compare"):
        report.compare(new, old)


def test_void_runs_are_not_compared(tmp_path):
    new, old = folder(tmp_path, "new", 0.04, lag=0.01), folder(tmp_path, "old!", 0.02)
    with pytest.raises(LabError, match="nothing to compare") as refused:
        report.compare(new, old)
    assert "0 of 3 runs and 3 of 3 runs" in str(refused.value)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(LabError, match="holds no results"):
        report.load(tmp_path)


# --- a million samples ----------------------------------------------------------

MILLION = """
import resource, sys, time
from pathlib import Path
import numpy as np
from labkit.loadtest import charts, report
from labkit.loadtest.samples import read_folder
begun = time.monotonic()
(run,) = read_folder(Path(sys.argv[1]))
charts.spectrum(run), charts.over_time(run), report.row(run)
print(len(run.table), time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_million_samples_are_analysed_and_drawn_within_a_gibibyte(tmp_path):
    plan = Plan("http://web/", ((10_000, 100),), arrivals="uniform")
    with (tmp_path / "samples-000.0.csv").open("w") as file:
        file.write(f'# {{"run": 0, "plan": {plan.to_json()}, "began": 1.0, "late": 0}}\n')
        drawn = np.random.default_rng(0).exponential(20_000, 1_000_000).astype(int)
        for number, took in enumerate(drawn):
            at = number * 100
            file.write(
                f"0,{at},{at + 90},{at + 110},{at + 300},{at + took},{at + took},200,,p{number % 4},0.01,0.02,1.5\n"
            )
    done = subprocess.run([sys.executable, "-c", MILLION, str(tmp_path)], capture_output=True, text=True, check=True)
    rows, seconds, kibibytes = map(float, done.stdout.split())
    print(f"{rows:.0f} samples in {seconds:.1f} s and {kibibytes / 1024:.0f} MiB")
    assert rows == 1_000_000
    assert kibibytes < 1 << 20
