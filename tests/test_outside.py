"""What lies beyond the cluster: the host outside, and the real host's loopback."""

import json
import socket
import urllib.request

import pytest

from tests.embedded import EmbeddedCluster, eventually
from tests.live import events, fresh_namespace, make, pod

WEB = "mkdir /w; hostname > /w/index.html; httpd -f -p 8080 -h /w"
ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 5353))
while True:
    data, client = s.recvfrom(100); s.sendto(data.upper(), client)
"""


@pytest.fixture(scope="module")
def namespace(cluster, python_image):
    """A namespace with a web server that also echoes packets."""
    with fresh_namespace(cluster) as name:
        web = pod("web", WEB)
        echo = {"name": "echo", "image": f"python:{python_image}", "command": ["python", "-c", ECHO]}
        web["spec"]["containers"].append(echo)
        web["metadata"]["labels"] = {"app": "web"}
        make(cluster, name, web)
        yield name


def node_port(cluster, namespace, name, *ports, **spec):
    spec = {"type": "NodePort", "selector": {"app": "web"}, "ports": list(ports), **spec}
    make(cluster, namespace, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    path = "jsonpath={.spec.ports[*].nodePort}"
    return [int(each) for each in cluster.kubectl("get", "service", name, "-n", namespace, "-o", path).split()]


def reported(cluster, port):
    """Return what `labkit status` reads of a port, None before it is there."""
    said = json.loads((cluster.root / "host-ports.json").read_text())
    return next((each for each in said if each["port"] == port), None)


def get(port):
    """Return what a web server answers; None before the nodes' kube-proxies have heard of the service too."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.read().decode()
    except ConnectionError:
        return None


def test_a_node_port_answers_on_the_hosts_loopback(cluster, namespace):
    [port] = node_port(cluster, namespace, "tcp", {"port": 80, "targetPort": 8080})
    eventually(lambda: reported(cluster, port))
    assert eventually(lambda: get(port)) == "web\n"
    assert f"127.0.0.1:{port}" in cluster.labkit("status", "--name", cluster.name).stdout


def test_a_udp_node_port_answers_on_the_hosts_loopback(cluster, namespace):
    [port] = node_port(cluster, namespace, "udp", {"port": 53, "targetPort": 5353, "protocol": "UDP"})
    eventually(lambda: reported(cluster, port))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"hello", ("127.0.0.1", port))
        assert client.recv(100) == b"HELLO"


def test_a_port_goes_with_its_service(cluster, namespace):
    [port] = node_port(cluster, namespace, "short", {"port": 80, "targetPort": 8080})
    eventually(lambda: reported(cluster, port))
    cluster.kubectl("delete", "service", "short", "-n", namespace)
    eventually(lambda: not reported(cluster, port))
    socket.create_server(("127.0.0.1", port)).close()


def test_a_port_that_the_host_uses_is_left_to_it_with_an_event(cluster, namespace):
    taken = free_node_port()
    with socket.create_server(("127.0.0.1", taken)):
        node_port(cluster, namespace, "unlucky", {"port": 80, "targetPort": 8080, "nodePort": taken})
        [good] = node_port(cluster, namespace, "lucky", {"port": 80, "targetPort": 8080})
        eventually(lambda: reported(cluster, good))
        assert eventually(lambda: get(good)) == "web\n"
        assert reported(cluster, taken)["problem"] == "Address already in use"
        words = f"port {taken}/TCP is not served on the host's loopback: Address already in use"
        eventually(lambda: words in events(cluster, namespace))


def free_node_port():
    for port in range(32000, 32700):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no node port is free on this host")


def test_pods_go_out_under_their_nodes_address(cluster, namespace):
    seen = cluster.kubectl(
        "exec", "web", "-c", "c0", "-n", namespace, "--", "wget", "-qO-", "http://outside.example/ip"
    )
    assert seen.strip() == cluster.kubectl("get", "pod", "web", "-n", namespace, "-o", "jsonpath={.status.hostIP}")


def test_from_outside_node_ports_are_reached_and_virtual_addresses_are_not(cluster, namespace):
    [port] = node_port(cluster, namespace, "seen", {"port": 80, "targetPort": 8080})
    virtual = cluster.kubectl("get", "service", "seen", "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")

    def fetched(where):
        command = ("wget", "-qO-", f"http://outside.example/fetch?http://{where}/")
        return cluster.kubectl("exec", "web", "-c", "c0", "-n", namespace, "--", *command, check=False)

    assert fetched(f"172.30.0.11:{port}").stdout == "web\n"
    assert "502 Bad Gateway" in fetched(virtual).stderr


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """Another cluster beside the first."""
    with EmbeddedCluster(tmp_path_factory.mktemp("second"), "second") as other:
        yield other


def test_two_clusters_share_the_loopback(cluster, namespace, second):
    [port] = node_port(cluster, namespace, "first", {"port": 80, "targetPort": 8080})
    eventually(lambda: reported(cluster, port))
    node_port(second, "default", "same", {"port": 80, "nodePort": port})
    problem = eventually(lambda: reported(second, port))["problem"]
    assert problem == "Address already in use"
    assert get(port) == "web\n"


def test_two_clusters_have_the_same_addresses_and_each_its_own_network(cluster, namespace, second):
    other = pod("other", WEB)
    other["metadata"]["labels"] = {"app": "web"}
    make(second, "default", other)
    pod_ranges = ("get", "nodes", "-o", "jsonpath={.items[*].spec.podCIDR}")
    assert second.kubectl(*pod_ranges).split() == cluster.kubectl(*pod_ranges).split()[:2]
    for each, where, own in ((cluster, namespace, "web"), (second, "default", "other")):
        [port] = node_port(each, where, "twin", {"port": 80, "targetPort": 8080}, clusterIP="10.96.0.77")
        for url in ("http://10.96.0.77", f"http://172.30.0.11:{port}"):
            ask = ("exec", own, "-c", "c0", "-n", where, "--", "wget", "-qO-", url)
            eventually(lambda each=each, ask=ask, own=own: each.kubectl(*ask, check=False).stdout == f"{own}\n")
