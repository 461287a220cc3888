"""How far runs are, as lines and as a table."""

import io

import pytest
from rich.console import Console

from labkit.cli.progress import Display
from labkit.worker import Job, Result

JOBS = [Job("03_labels.ipynb", {}, "", cluster=name) for name in ("left", "right")]


def result(cluster, failure=""):
    return Result("03_labels", failure, 9.04, 55, 7 if failure else -1, cluster)


def rendered(display):
    text = io.StringIO()
    Console(file=text, width=100).print(display.table())
    return [line.split() for line in text.getvalue().splitlines()[1:]]


def test_without_a_terminal_a_run_is_two_lines(capsys):
    with Display(JOBS) as display:
        for cell in range(3):
            display.begun(JOBS[0], cell, 55)
        display.ended(result("left"))
    assert capsys.readouterr().out.splitlines() == ["• 03_labels on left: 55 cells", "✓ 03_labels on left (9.0 s)"]


def test_a_failure_says_where_and_why(capsys):
    with Display(JOBS) as display:
        display.ended(result("right", "WaitTimeout: pod/web"))
    assert capsys.readouterr().out == "✗ 03_labels on right (9.0 s) · cell 7: WaitTimeout: pod/web\n"


@pytest.mark.parametrize("regen", [True, False])
def test_the_table_has_a_row_a_run_that_says_how_far_it_is(regen):
    display = Display([] if regen else JOBS)
    display.begun(JOBS[0], 4, 55)
    waiting = [] if regen else [["·", "03_labels", "right", "waiting"]]
    assert rendered(display) == [["•", "03_labels", "left", "cell", "5", "of", "55,", "0", "s"], *waiting]
    display.ended(result("left"))
    assert rendered(display)[0] == ["✓", "03_labels", "left", "9.0", "s"]
