"""A class of forty hand-ins for lesson 08: every grade as expected, each fault costs only itself, twice the same."""

import json

import jsonschema
import pytest

from tests.bench.processes import descendants
from tests.e2e import handed, milestones
from tests.lessons import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2 * handed.SECONDS)]
PUPILS = milestones.pupils()
FEW = ["store", "bare", "twice", "exits", "shouts", "zipped", "broken", "no-notebook"]


def run(place, chosen, out, *options):
    """Grade some pupils; return the folder of the results."""
    milestones.hand_in(place / "in", {name: PUPILS[name] for name in chosen})
    handed.grade(place / "in", place / out, "08", *milestones.LIMITS, *options, TMPDIR=str(place))
    return place / out


def expected(chosen):
    return {name: PUPILS[name].points for name in chosen}


def test_a_few_of_them_have_the_points_that_they_earned_and_leave_nothing(tmp_path):
    out = run(tmp_path, FEW, "out", "--jobs", "3")
    assert handed.points(out) == expected(FEW)
    assert [name for name in FEW if PUPILS[name].says not in handed.page(out, name)] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert descendants(marker=str(tmp_path)) == []


@pytest.fixture(scope="module")
def whole_class(tmp_path_factory):
    place = tmp_path_factory.mktemp("class")
    return place, run(place, PUPILS, "out", "--jobs", "2")


@pytest.mark.slow
def test_every_grade_is_as_expected(whole_class):
    assert len(PUPILS) == 40
    assert handed.points(whole_class[1]) == expected(PUPILS)


@pytest.mark.slow
@pytest.mark.parametrize("student", PUPILS)
def test_each_page_says_why(whole_class, student):
    assert PUPILS[student].says in handed.page(whole_class[1], student)


@pytest.mark.slow
def test_the_results_are_as_their_schema_says(whole_class):
    schema = json.loads((ROOT / "labkit" / "grading" / "results.schema.json").read_text())
    jsonschema.validate(json.loads((whole_class[1] / "results.json").read_text()), schema)


@pytest.mark.slow
def test_a_second_run_gives_the_same_marks_byte_by_byte(whole_class):
    place, first = whole_class
    again = run(place, PUPILS, "again", "--jobs", "3")
    assert (again / "grades.csv").read_bytes() == (first / "grades.csv").read_bytes()
