"""Hand-ins for lesson 08 by unusual means, as in test_invented.py."""

import pytest

from tests.e2e import handed, milestones, unusual
from tests.e2e.test_invented import grade, lost

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(2 * handed.SECONDS)]
RIGHT, WRONG = unusual.right(), unusual.wrong()


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    told = {name: nb for name, (nb, *_) in WRONG.items()}
    return grade(tmp_path_factory.mktemp("unusual"), RIGHT | told, *milestones.LIMITS)


@pytest.mark.parametrize("student", RIGHT)
def test_a_right_answer_is_right_by_unusual_means_too(graded, student):
    assert lost(graded, student) == {}


@pytest.mark.parametrize("student", WRONG)
def test_a_mistake_costs_what_it_breaks_and_is_told(graded, student):
    _, items, words = WRONG[student]
    assert words in handed.page(graded, student)
    assert items is None or list(lost(graded, student)) == items
