"""Nodes that come to a running cluster, and nodes that lose its network."""

import json

import pytest

from tests.embedded import EmbeddedCluster, eventually
from tests.live import address, make, pod

WEB = "mkdir /w; hostname > /w/index.html; httpd -f -p 8080 -h /w"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A cluster of two nodes to change, with a web server on the second and a client on the first."""
    with EmbeddedCluster(tmp_path_factory.mktemp("nodes"), "nodes") as running:
        make(running, "default", pod("web", WEB, node="node2"), pod("client", "sleep 1000", node="node1"))
        yield running


def get(own, name):
    command = ("exec", "client", "--", "wget", "-T", "2", "-qO-", f"http://{address(own, 'default', name)}:8080")
    return own.kubectl(*command, check=False)


def test_a_running_cluster_gets_another_node(own):
    done = own.labkit("add", "node", "--name", own.name)
    assert done.stdout == "✓ node3 is Ready\n", done.stderr
    make(own, "default", pod("newcomer", WEB, node="node3"))
    assert get(own, "newcomer").stdout == "newcomer\n"
    assert "GET / HTTP" in own.kubectl("logs", "newcomer")
    assert json.loads((own.root / "settings.json").read_text())["nodes"] == 3


def test_a_new_node_tells_of_itself_and_is_told_of(own):
    selected = "involvedObject.kind=Node,involvedObject.name=node1"
    columns = "-o=jsonpath={range .items[*]}{.source.component} {.reason} {.message}{'\\n'}{end}"

    def told():
        return set(own.kubectl("get", "events", f"--field-selector={selected}", columns).splitlines())

    status = ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady")
    expected = {f"kubelet {reason} Node node1 status is now: {reason}" for reason in status}
    expected |= {
        "kubelet Starting Starting kubelet.",
        "node-controller RegisteredNode Node node1 event: Registered Node node1 in Controller",
    }
    eventually(lambda: told() == expected)
    assert "RegisteredNode" in own.kubectl("describe", "node", "node1")


def test_a_node_that_is_cut_off_reaches_nobody_until_it_is_mended(own):
    assert get(own, "web").stdout == "web\n"
    assert "node2 is cut off" in own.labkit("cut", "node2", "--name", own.name).stdout
    assert get(own, "web").returncode != 0
    own.labkit("mend", "node2", "--name", own.name)
    assert get(own, "web").stdout == "web\n"


def test_only_nodes_that_exist_are_cut_off(own):
    done = own.labkit("cut", "node9", "--name", own.name)
    assert done.returncode == 1
    assert "no node 'node9'; there are node1, node2" in done.stderr


@pytest.mark.slow
def test_a_node_that_is_cut_off_is_lost_to_the_cluster_and_comes_back(own):
    def state():
        return own.kubectl("get", "node", "node2", "--no-headers").split()[1]

    own.labkit("cut", "node2", "--name", own.name)
    eventually(lambda: state() == "NotReady", within=70, every=1)
    own.labkit("mend", "node2", "--name", own.name)
    eventually(lambda: state() == "Ready", within=60, every=1)
