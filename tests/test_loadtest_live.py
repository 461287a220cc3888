"""The load test on a cluster of three nodes: the generator as a Job, and what the pods do under load."""

import os
import subprocess
import sys

import pytest

from labkit.api import Api
from labkit.errors import LabError
from labkit.loadtest import service
from labkit.loadtest.plan import Plan
from labkit.loadtest.runner import Load, marks, ready_pods, service_url
from labkit.loadtest.samples import read_folder
from labkit.loadtest.stats.intervals import ratio
from labkit.loadtest.stats.recovery import recovery
from tests.embedded import EmbeddedCluster, eventually
from tests.lessons import manifests

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
FOLDER = manifests("09")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A cluster of three nodes with the lesson's services."""
    own = EmbeddedCluster(tmp_path_factory.mktemp("labkit"), "load")
    up = own.up("--nodes", "3")
    assert up.returncode == 0, up.stdout + up.stderr
    own.kubectl("create", "configmap", "service", f"--from-file={service.__file__}")
    own.kubectl("apply", "-f", str(FOLDER))
    for name in ("web-1", "web-2", "web-4", "compute", "fragile"):
        own.kubectl("expose", "deployment", name, "--port=80", "--target-port=http")
        own.kubectl("rollout", "status", f"deployment/{name}", "--timeout=50s")
    yield own
    own.down()
    own.unpin()


@pytest.fixture
def load(three):
    return Load(Api(three.kubeconfig), "default", tell=lambda line: None)


def test_the_generator_runs_as_a_job_and_leaves_nothing_behind(three, load):
    (run,) = load.run(Plan("http://web-1", ((20, 2),), seed=1))
    assert run.errors == {}
    assert len(run.table) > 20
    assert run.table.pod.iloc[0].startswith("web-1-")
    assert 0 < sum(run.pod_cpu().values()) < 2
    assert run.facts[0]["clock"] == "timerfd"
    assert three.kubectl("get", "jobs", "-o", "name") == ""
    assert "loadtest" not in three.kubectl("get", "configmaps", "-o", "name")


def test_several_pods_share_a_plan_and_send_all_of_it(three):
    shared = Load(Api(three.kubeconfig), "default", generators=2, tell=lambda line: None)
    (run,) = shared.run(Plan("http://web-2", ((40, 2),), seed=2))
    alone = Load(Api(three.kubeconfig), "default", tell=lambda line: None).run(Plan("http://web-2", ((40, 2),), seed=2))
    assert len(run.facts) == 2
    assert len(run.table) == len(alone[0].table)


def test_connections_are_spread_over_the_ready_pods_alone(three, load):
    pods = ready_pods(Api(three.kubeconfig), "default", "web-4")
    (run,) = load.run(Plan("http://web-4", ((80, 2),)))
    assert len(pods) == 4
    assert set(run.table.pod) == set(pods)


def test_an_exception_ends_a_run_early_and_its_samples_stay(three, load):
    def interrupted():
        with load.start(Plan("http://web-4", ((40, 60),))):
            eventually(lambda: len(load.recorder.texts["0"]) > 20)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (run,) = load.recorder.runs()
    assert "run that was interrupted" in run.void
    assert three.kubectl("get", "jobs", "-o", "name") == ""


def test_a_service_that_is_not_there_is_a_dns_error_and_a_pod_that_cannot_start_is_told(three, load):
    (run,) = load.run(Plan("http://nobody", ((20, 1),)))
    assert set(run.errors) == {"dns"}
    with pytest.raises(LabError, match="no service nobody in namespace default"):
        service_url(Api(three.kubeconfig), "default", "nobody")


def test_waiting_pods_scale_and_computing_ones_meet_a_ceiling(three, load):
    plans = [Plan(f"http://web-{n}", ((70 * n, 2),), seed=each, name=str(n)) for each in range(4) for n in (1, 2, 4)]
    runs = load.run(*plans)
    reached = {n: [run.achieved for run in runs if run.plan.name == str(n)] for n in (1, 2, 4)}
    found = {n: ratio(reached[n], reached[1]) for n in (2, 4)}
    assert found[2].meets(1.8, 2.2)
    assert found[4].meets(3.6, 4.4)
    three.kubectl("scale", "deployment", "compute", "--replicas=8")
    three.kubectl("rollout", "status", "deployment/compute", "--timeout=50s")
    (computed,) = load.run(Plan("http://compute", ((1, 3),), clients=48, keep=48))
    cores = os.cpu_count()
    assert computed.achieved < min(8, 1.3 * cores) * 50
    assert sum(computed.pod_cpu().values()) < 1.1 * cores


def update(three, load):
    with load.start(Plan("http://fragile", ((100, 7),), timeout=2)) as sending:
        three.kubectl("rollout", "restart", "deployment/fragile")
        three.kubectl("rollout", "status", "deployment/fragile", "--timeout=50s")
    (run,) = sending.result()
    return run


def test_a_careless_rolling_update_loses_requests_by_kind_and_a_careful_one_none(three, load):
    careless = update(three, load)
    assert set(careless.errors) & {"refused", "reset", "closed"}
    assert [what for _, what in marks(Api(three.kubeconfig), "default", careless) if "Killing" in what]
    three.kubectl("apply", "-f", str(FOLDER / "solution/fragile.yaml"))
    three.kubectl("rollout", "status", "deployment/fragile", "--timeout=50s")
    assert update(three, load).errors == {}


def test_a_killed_pods_requests_are_lost_and_the_service_recovers(three, load):
    with load.start(Plan("http://web-4", ((60, 9),), timeout=2)) as sending:
        three.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=loadtest", "--timeout=30s")
        pod = three.kubectl("get", "pods", "-l", "app=web-4", "-o", "name").split()[0]
        three.kubectl("delete", pod, "--force", "--grace-period=0")
    (run,) = sending.result()
    found = recovery(run.table, at=run.plan.seconds - 1, end=run.plan.seconds, stay=0.5)
    assert found.lost < 0.2 * len(run.table)
    assert not run.table[run.table.scheduled > 8].error.astype(bool).any()


def test_the_command_line_loads_a_service_and_compares_two_results(three, tmp_path):
    def labkit(*arguments):
        command = [sys.executable, "-m", "labkit", "loadtest", *arguments]
        return subprocess.run(command, env=three.environment, capture_output=True, text=True, timeout=120)

    options = ["--cluster", str(three.kubeconfig), "--rate", "20", "--duration", "1s", "--runs", "2"]
    for name in ("a", "b"):
        done = labkit("service/web-4", *options, "--out", str(tmp_path / name))
        assert "• run 2 of 2: http://web-4.default:80/" in done.stdout, done.stderr
        assert done.returncode == ("void:" in done.stdout)
        assert len(read_folder(tmp_path / name)) == 2
    compared = labkit("compare", str(tmp_path / "a"), str(tmp_path / "b"))
    assert "service/web-4: " in compared.stdout or "nothing to compare" in compared.stderr
