"""Hand-ins that were made up for the grader's sake: right answers of all kinds, likely mistakes, other cheats."""

import json

import pytest

from tests.e2e import handed, impostors, invented, milestones

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(2 * handed.SECONDS)]
RIGHT, WRONG, CHEATS = invented.right(), invented.wrong(), impostors.cheats()


def grade(place, notebooks, *options):
    for name, nb in notebooks.items():
        handed.write(place / "in", name, nb)
    handed.grade(place / "in", place / "out", "08", "--jobs", "2", *options)
    return place / "out"


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    told = {name: nb for name, (nb, *_) in (WRONG | CHEATS).items()}
    return grade(tmp_path_factory.mktemp("invented"), RIGHT | told, *milestones.LIMITS)


def lost(out, student):
    return {item["name"]: item["points"] for item in handed.items(out, student) if item["points"] != item["of"]}


@pytest.mark.parametrize("student", RIGHT)
def test_a_right_answer_is_right_however_it_is_written(graded, student):
    assert lost(graded, student) == {}


@pytest.mark.parametrize("student", [name for name, (_, items, _) in WRONG.items() if items])
def test_a_mistake_costs_what_it_breaks_and_no_more(graded, student):
    assert list(lost(graded, student)) == WRONG[student][1]


@pytest.mark.parametrize("student", WRONG)
def test_a_mistake_is_told(graded, student):
    assert WRONG[student][2] in handed.page(graded, student)
    assert 0 < handed.points(graded)[student] < milestones.ALL


@pytest.mark.parametrize("student", CHEATS)
def test_a_cheat_has_no_point_of_what_it_is_after_and_is_told(graded, student):
    points = {item["name"]: item["points"] for item in handed.items(graded, student)}
    assert {name: points[name] for name in CHEATS[student][1]} == dict.fromkeys(CHEATS[student][1], 0)
    assert CHEATS[student][2] in handed.page(graded, student)


def test_no_page_holds_what_a_hand_in_wrote_as_markup(graded):
    pages = [handed.page(graded, "kernel"), handed.page(graded, "circle"), (graded / "index.html").read_text()]
    assert [page for page in pages if "<script>" in page or "<img src=x" in page or "<b>bold" in page] == []
    assert "zz" not in json.dumps(handed.result(graded, "kernel")["predictions"])
