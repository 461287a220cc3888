"""Plans and their schedules: decided before the first request."""

import json

import numpy as np
import pytest

from labkit.loadtest.plan import Plan, PlanError, from_dict, schedule, shares

URL = "http://127.0.0.1/"


def cv(times):
    gaps = np.diff(times)
    return gaps.std() / gaps.mean()


def test_poisson_arrivals_come_at_the_rate_with_exponential_gaps():
    times = schedule(Plan(URL, steps=((1000, 20),), seed=3))
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert cv(times) == pytest.approx(1, abs=0.03)
    assert list(times) == sorted(times)


def test_uniform_arrivals_come_like_a_metronome():
    assert list(schedule(Plan(URL, steps=((4, 1), (2, 1)), arrivals="uniform"))) == [0, 0.25, 0.5, 0.75, 1.0, 1.5]


def test_a_trace_is_sent_as_it_is():
    assert list(schedule(Plan(URL, arrivals="trace", trace=(0.5, 0.1)))) == [0.1, 0.5]


def test_the_same_seed_gives_the_same_schedule_and_another_another():
    assert schedule(Plan(URL, seed=1)) == schedule(Plan(URL, seed=1)) != schedule(Plan(URL, seed=2))


def test_shares_are_poisson_streams_that_together_are_the_whole_schedule():
    plan = Plan(URL, steps=((2000, 10),), keep=90, max_in_flight=300)
    parts = [schedule(share) for share in shares(plan, 3, begin=1.0)]
    assert sorted(time for part in parts for time in part) == list(schedule(plan))
    assert [cv(part) for part in parts] == [pytest.approx(1, abs=0.05)] * 3


def test_shares_deal_out_clients_connections_and_cap():
    dealt = shares(Plan(URL, clients=5, keep=4, max_in_flight=10), 2, begin=0)
    assert [(each.clients, each.keep, each.max_in_flight) for each in dealt] == [(3, 2, 5), (2, 2, 5)]


def test_a_plan_survives_being_written():
    plan = Plan(URL, steps=((5, 1), (7, 2)), labels={"replicas": "2"}, share=(1, 2))
    assert from_dict(json.loads(plan.to_json())) == plan


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "ftp://x"}, "url is 'ftp://x', expected http://"),
        ({"steps": ((0, 5),)}, "steps is ((0, 5),), expected rates and seconds above 0"),
        ({"arrivals": "bursts"}, "expected one of poisson, uniform, trace"),
        ({"arrivals": "trace"}, "trace is (), expected the times"),
        ({"timeout": 0}, "timeout is 0, expected more than 0 seconds"),
        ({"steps": ((1e6, 3600),)}, "at most 5,000,000 requests in one plan"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_by_its_field(wrong, said):
    with pytest.raises(PlanError) as refused:
        Plan(**{"url": URL} | wrong)
    assert said in str(refused.value)


def test_clients_that_cannot_be_dealt_out_are_refused():
    with pytest.raises(PlanError, match="1 clients cannot be dealt out to 2"):
        shares(Plan(URL, clients=1), 2, begin=0)
