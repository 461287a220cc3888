"""Up, down and what may happen to a cluster in between."""

import itertools
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from labkit.glassbox import cluster as declared
from labkit.glassbox import network
from labkit.glassbox.client import Client
from tests.embedded import EmbeddedCluster, eventually, inhabited_namespaces, processes_of

pytestmark = pytest.mark.cluster
COMPONENTS = [
    "api-server",
    "controller-manager",
    "scheduler",
    *(f"{each}@node{number}" for each in ("kubelet", "kube-proxy") for number in (1, 2)),
    "dns",
    "outside",
    "ingress",
]


def settings(throwaway):
    return json.loads((throwaway.root / "settings.json").read_text())


@pytest.fixture
def nothing_left(throwaway):
    """Check, after the test, that no process and no namespace stays."""
    yield
    throwaway.down()
    assert processes_of(throwaway.home) == []
    assert not throwaway.namespaces & inhabited_namespaces()
    throwaway.unpin()


def test_components_start_in_the_order_of_the_architecture_slide(tmp_path):
    files = declared.layout("labkit", tmp_path)
    names = [component.name for component in declared.boot_order(files, network.plan_nodes(2), declared.Sockets())]
    assert names == COMPONENTS


@pytest.mark.parametrize("name", ["", "Labkit", "../up", "a" * 41, "-a"])
def test_a_name_that_no_directory_or_host_can_have_is_refused(tmp_path, name):
    with pytest.raises(declared.ClusterError, match="cannot name a cluster"):
        declared.layout(name, tmp_path)


def test_up_then_status_then_down(throwaway, nothing_left):
    up = throwaway.up()
    assert up.returncode == 0, up.stderr + throwaway.logs()
    assert "✓ node1, node2 Ready" in up.stdout
    assert [c["state"] for c in throwaway.status()["components"]] == ["running"] * len(COMPONENTS)
    assert "✓ cluster test stopped" in throwaway.down().stdout
    assert throwaway.labkit("status").stdout == "test: stopped\n"


def test_both_nodes_are_ready_for_kubectl(cluster):
    lines = cluster.kubectl("get", "nodes", "--no-headers").splitlines()
    assert [line.split()[:2] for line in lines] == [["node1", "Ready"], ["node2", "Ready"]]


def test_a_pod_is_admitted_as_soon_as_up_returns(throwaway, nothing_left):
    throwaway.up("--nodes", "1")
    throwaway.kubectl("run", "first", "--image=registry.k8s.io/pause:3.10")
    throwaway.down()


def test_a_second_up_says_that_it_runs_already(cluster):
    up = cluster.up()
    assert up.returncode == 0
    assert "✓ cluster test is already running" in up.stdout


def test_a_second_up_with_another_number_of_nodes_is_refused(cluster):
    up = cluster.up("--nodes", "3")
    assert up.returncode == 1
    assert "already runs, with 2 nodes" in up.stderr
    assert "labkit down --name test" in up.stderr


def test_two_ups_at_once_make_one_cluster(throwaway, nothing_left):
    first, second = (throwaway.labkit_in_background("up", "--name", "test") for _ in range(2))
    outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert sum("already running" in output for output in outputs) == 1


def test_objects_port_and_keys_survive_down_and_up(throwaway, nothing_left):
    throwaway.up("--nodes", "1")
    throwaway.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    before = settings(throwaway), throwaway.kubeconfig.read_text()
    throwaway.down()
    throwaway.up()
    assert (settings(throwaway), throwaway.kubeconfig.read_text()) == before
    assert throwaway.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"


def test_purge_forgets_everything(throwaway):
    throwaway.up("--nodes", "1")
    throwaway.down("--purge")
    assert list((throwaway.home / "clusters").iterdir()) == []


def test_a_port_that_is_taken_is_said_and_another_one_used(throwaway):
    throwaway.up("--nodes", "1")
    port = settings(throwaway)["port"]
    throwaway.down()
    with socket.create_server(("127.0.0.1", port)):
        up = throwaway.up()
    assert up.returncode == 0
    assert f"port {port} is in use by another program" in up.stdout
    assert throwaway.kubectl("get", "--raw", "/readyz") == "ok"


@pytest.fixture(scope="module")
def worn(tmp_path_factory):
    """A cluster whose components are killed one after the other; nothing of it stays."""
    with EmbeddedCluster(tmp_path_factory.mktemp("worn")) as running:
        yield running
        running.down()
        assert processes_of(running.home) == []
        assert not running.namespaces & inhabited_namespaces()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_killed_component_is_back_within_a_second(worn, component):
    pid = worn.component(component)["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: worn.component(component)["pid"] not in (0, pid), within=1)
    assert worn.component(component)["restarts"] == 1
    eventually(lambda: worn.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok")


def test_a_stopped_component_stays_stopped_until_it_is_started(throwaway):
    throwaway.up("--nodes", "1")
    assert throwaway.labkit("stop", "scheduler", "--name", "test").stdout == "✓ scheduler is stopped\n"
    assert throwaway.component("scheduler")["pid"] == 0
    assert throwaway.labkit("start", "scheduler", "--name", "test").stdout == "✓ scheduler is running\n"
    assert throwaway.component("scheduler")["pid"] != 0


def test_an_unknown_component_is_refused_with_the_names_there_are(cluster):
    stop = cluster.labkit("stop", "etcd", "--name", "test")
    assert stop.returncode == 1
    assert "no component 'etcd'; there are api-server, controller-manager, scheduler, kubelet@node1" in stop.stderr


def test_killing_the_first_process_leaves_nothing_and_up_works_again(throwaway, nothing_left):
    throwaway.up()
    os.kill(throwaway.status()["pid"], signal.SIGKILL)
    eventually(lambda: not processes_of(throwaway.home), within=5)
    assert "test: stopped" in throwaway.labkit("status").stdout
    assert throwaway.up().returncode == 0


@pytest.mark.parametrize("delay", [0.1, 0.25, 0.4, 0.6])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_up_that_is_interrupted_leaves_nothing(throwaway, nothing_left, delay, signum):
    up = throwaway.labkit_in_background("up", "--name", "test")
    try:
        up.wait(delay)
    except subprocess.TimeoutExpired:
        up.send_signal(signum)
    output = up.communicate(timeout=30)[0]
    assert "Traceback" not in output or "labkit" not in output  # what Python says before it comes to labkit is not ours
    if "Ready" not in output:  # from then on it may be the cluster's user who goes
        eventually(lambda: not processes_of(throwaway.home), within=10)


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.4])
def test_down_during_up_stops_the_cluster(throwaway, nothing_left, delay):
    up = throwaway.labkit_in_background("up", "--name", "test")
    try:
        up.wait(delay)
    except subprocess.TimeoutExpired:
        pass
    assert throwaway.down().returncode == 0
    output = up.communicate(timeout=30)[0]
    assert "Traceback" not in output
    if up.returncode == 1:
        assert "was stopped while it was starting" in output
        assert processes_of(throwaway.home) == []


def test_a_state_directory_that_cannot_be_written_is_named_with_the_next_step(throwaway):
    blocked = throwaway.home / "file"
    blocked.write_text("")
    throwaway.environment["LABKIT_HOME"] = str(blocked)
    up = throwaway.up()
    assert up.returncode == 1
    assert f"cannot write to the state directory {blocked}/clusters/test" in up.stderr
    assert "export LABKIT_HOME=" in up.stderr


def test_a_deep_state_directory_works_though_a_socket_s_path_is_short(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    with EmbeddedCluster(deep) as running:
        assert running.status()["kept"]


def test_everything_in_the_state_directory_is_the_owner_s_alone(cluster):
    assert stat.S_IMODE(cluster.root.stat().st_mode) == 0o700
    for path in [cluster.kubeconfig, *(cluster.root / "pki").iterdir(), *(cluster.root / "components").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_host_s_mounts_are_never_touched(throwaway):
    before = Path("/proc/self/mountinfo").read_text()
    throwaway.up("--nodes", "1")
    assert Path("/proc/self/mountinfo").read_text() == before


def test_ps_shows_components_by_their_names(cluster):
    for component in cluster.status()["components"]:
        title = Path(f"/proc/{component['pid']}/cmdline").read_bytes().rstrip(b"\0").decode()
        assert title == f"labkit {component['name']} (test)"


def is_gone(pid):
    """Tell whether a process has ended; its parent, the host's first process, may not have looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_when_down_returns_the_machine_has_ended(throwaway, nothing_left):
    throwaway.up()
    machine = throwaway.status()["pid"]
    throwaway.down()
    assert is_gone(machine)


@pytest.mark.slow
def test_twenty_times_up_and_down_leave_nothing(throwaway, nothing_left):
    sizes = []
    for _ in range(20):
        assert throwaway.up().returncode == 0
        assert throwaway.down().returncode == 0
        assert processes_of(throwaway.home) == []
        sizes.append(len(list(throwaway.root.rglob("*"))))
    assert sizes[-1] == sizes[1]


IMPATIENT = """
from labkit.glassbox import launcher
launcher.up("test", 1, progress=print, idle_limit=2.0)
"""


def test_a_cluster_that_nobody_uses_stops_by_itself(throwaway, nothing_left):
    subprocess.run([sys.executable, "-c", IMPATIENT], env=throwaway.environment, check=True, timeout=60)
    eventually(lambda: not processes_of(throwaway.home), within=10)
    assert "nobody has used the cluster" in throwaway.logs()


def test_a_cluster_whose_state_directory_is_deleted_ends(throwaway, nothing_left):
    throwaway.up("--nodes", "1")
    shutil.rmtree(throwaway.root)
    eventually(lambda: not processes_of(throwaway.home), within=30)


def test_a_cluster_in_use_goes_on(throwaway, nothing_left):
    subprocess.run([sys.executable, "-c", IMPATIENT], env=throwaway.environment, check=True, timeout=60)
    (throwaway.root / "last-use").touch()
    os.utime(throwaway.root / "last-use", (2**32, 2**32))
    with pytest.raises(AssertionError, match="not within 4"):
        eventually(lambda: not processes_of(throwaway.home), within=4, every=0.5)


def test_a_killed_api_server_loses_no_acknowledged_write(throwaway, nothing_left):
    throwaway.up("--nodes", "1")
    api = Client.from_kubeconfig(throwaway.kubeconfig, user_agent="writer")
    acknowledged, stop = [], threading.Event()

    def write():
        for number in itertools.count():
            if stop.is_set():
                return
            name = f"write-{number}"
            try:
                api.create("configmaps", {"metadata": {"name": name, "namespace": "default"}})
            except Exception:  # not acknowledged: it may or may not be there
                continue
            acknowledged.append(name)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(3):
        written = len(acknowledged)
        eventually(lambda written=written: len(acknowledged) > written + 50)
        os.kill(throwaway.component("api-server")["pid"], signal.SIGKILL)
    written = len(acknowledged)
    eventually(lambda: len(acknowledged) > written + 50)
    stop.set()
    writer.join()
    stored = {item["metadata"]["name"] for item in api.list("configmaps", "default")["items"]}
    assert set(acknowledged) <= stored


def test_a_component_that_ends_again_and_again_fails_up_though_the_nodes_are_ready(throwaway, nothing_left, tmp_path):
    broken = "import labkit.glassbox.scheduler.__main__ as scheduler\nscheduler.main = lambda argv: 3\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    throwaway.environment["PYTHONPATH"] = str(tmp_path)
    up = throwaway.up()
    assert up.returncode == 1
    assert "scheduler ended" in up.stderr
    assert "last with 3" in up.stderr
    assert "logs/scheduler.log" in up.stderr
