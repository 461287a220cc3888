"""The engine for several machines: Locust's master and two workers, here on one machine, against a server that logs."""

from importlib.util import find_spec

import numpy as np
import pytest

from labkit.errors import LabError
from labkit.loadtest.plan import Plan, schedule
from labkit.loadtest.runner import Load
from tests.known_server import known_server

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="Locust is not installed")

JOURNEY = """
from locust import FastHttpUser, task

class Shopper(FastHttpUser):
    @task
    def look_and_buy(self):
        self.client.get("/shelf")
        self.client.get("/till")
"""


def run(plan, **options):
    (done,) = Load(engine="locust", **options).run(plan)
    return done


def test_two_workers_send_the_whole_schedule_at_its_intended_times(tmp_path):
    with known_server(tmp_path) as server:
        plan = Plan(server.url, steps=((100, 3),), seed=3)
        done = run(plan, generators=2, out=tmp_path / "out")
        log = server.stop()
    assert len(log) == len(done.table) == len(schedule(plan))
    assert np.allclose(np.sort(done.table.scheduled), schedule(plan), atol=0.1)  # two wall clocks' rounding apart
    assert done.errors == {}
    assert len(done.facts) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"samples-000.0.csv", "samples-000.1.csv"}


def test_the_pacing_does_not_wait_for_a_server_that_stops(tmp_path):
    with known_server(tmp_path, stall_after=1.0) as server:
        done = run(Plan(server.url, steps=((100, 3),), keep=200))
    assert done.response.max() > 0.9
    assert np.quantile(done.response, 0.9) > 0.3  # a third of the users met the second


def test_a_closed_loop_is_dealt_out_too(tmp_path):
    with known_server(tmp_path, delay=0.05) as server:
        done = run(Plan(server.url, steps=((1, 2),), clients=4, keep=4), generators=2)
    assert done.plan.clients == 4
    assert 20 < len(done.table) <= 4 * 2 / 0.05 + 4


def test_a_row_is_a_whole_journey_of_a_user_who_was_declared(tmp_path):
    (tmp_path / "users.py").write_text(JOURNEY)
    with known_server(tmp_path, delay=0.05) as server:
        done = run(Plan(server.url, steps=((20, 2),), keep=50), users=str(tmp_path / "users.py"))
        log = server.stop()
    assert len(log) == 2 * len(done.table)
    assert (done.service >= 0.1).all()


def test_what_fails_is_counted_by_its_kind():
    done = run(Plan("http://127.0.0.1:1/", steps=((20, 1),)))
    assert set(done.errors) == {"refused"}


def test_an_engine_that_does_not_exist_or_cannot_be_there_is_refused_by_its_name():
    with pytest.raises(LabError, match="no such engine"):
        Load(engine="hey")
    with pytest.raises(LabError, match="the engine 'locust' does not run in the cluster"):
        Load(object(), "default", engine="locust")


def test_a_file_without_users_says_what_was_expected(tmp_path):
    (tmp_path / "users.py").write_text("x = 1\n")
    with pytest.raises(LabError, match="declares no user: expected a subclass of locust.User"):
        run(Plan("http://127.0.0.1:1/"), users=str(tmp_path / "users.py"))
