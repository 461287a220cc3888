"""The table of who reaches what: from a pod, its neighbours, the node and outside; to pods and services; TCP and UDP.

On nft and, where only the client's address is lost, on the user-space proxy. An answer is who served and whom it saw.
"""

import json

import pytest

from labkit.glassbox import nftables
from tests import live, reach
from tests.embedded import EmbeddedCluster

pytestmark = pytest.mark.cluster
SOURCES = {"same pod": "web", "same node": "near", "other node": "far", "node": "host", "outside": None}
NAMES = {"service's name": "web", "headless name": "headless", "ExternalName": "external"}
TARGETS = ("pod IP", "ClusterIP", "NodePort", "NodePort of the other node", *NAMES)
OUTSIDE, NODES = "172.30.0.1", ("172.30.0.11", "172.30.0.12")


class Table:
    """One cluster with a server on node1, and all that is asked of it."""

    def __init__(self, cluster, namespace, image):
        self.cluster, self.namespace = cluster, namespace
        host = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
        pods = [reach.server("web", image, "node1"), reach.server("near", image, "node1")]
        pods += [reach.server("far", image, "node2"), reach.server("host", image, "node1", **host)]
        services = [service("web"), service("local", externalTrafficPolicy="Local")]
        services.append(service("headless", type="ClusterIP", clusterIP="None"))
        alias = f"headless.{namespace}.svc.cluster.local"
        services.append(service("external", type="ExternalName", externalName=alias, selector=None))
        live.make(cluster, namespace, *services, *pods)
        self.pod = {name: live.address(cluster, namespace, name) for name in SOURCES.values() if name}
        told = cluster.kubectl("get", "services", "-n", namespace, "-o", "json")
        self.services = {each["metadata"]["name"]: each["spec"] for each in json.loads(told)["items"]}
        self.answers = {each: self.ask(pod) for each, pod in SOURCES.items()}

    def address(self, target, protocol):
        """Return what to ask; a headless service's name leads to its pods, hence to their own ports."""
        if target in NAMES:
            return f"{protocol} {NAMES[target]}.{self.namespace} {80 if NAMES[target] == 'web' else 8080}"
        spec = self.services["web"]
        [port] = [each for each in spec["ports"] if each["protocol"] == protocol.upper()]
        return {
            "pod IP": f"{protocol} {self.pod['web']} 8080",
            "ClusterIP": f"{protocol} {spec['clusterIP']} 80",
            "NodePort": f"{protocol} {NODES[0]} {port['nodePort']}",
            "NodePort of the other node": f"{protocol} {NODES[1]} {port['nodePort']}",
        }[target]

    def ask(self, pod):
        known = [each for each in TARGETS if pod or each not in NAMES]
        targets = [self.address(target, protocol) for target in known for protocol in ("tcp", "udp")]
        if pod is None:
            return reach.ask_from_outside(self.cluster, *targets)
        return reach.ask(self.cluster, self.namespace, pod, *targets)


def service(name, **spec):
    ports = [
        {"name": each.lower(), "port": 80, "targetPort": target, "protocol": each}
        for each, target in (("TCP", "web"), ("UDP", 8080))
    ]
    spec = {"type": "NodePort", "selector": {"app": "web"}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def by_kernel(cluster, python_image):
    if nftables.binary() is None:
        pytest.skip("there is no nft")
    with live.fresh_namespace(cluster) as namespace:
        yield Table(cluster, namespace, python_image)


@pytest.fixture(scope="module")
def by_process(tmp_path_factory, python_image):
    without = EmbeddedCluster(tmp_path_factory.mktemp("labkit"), name="no-nft")
    without.environment["LABKIT_NFT"] = ""
    with without, live.fresh_namespace(without) as namespace:
        yield Table(without, namespace, python_image)


def reached(source, target):
    """Tell what is expected: nothing outside has a route to the services' own addresses."""
    return (source, target) != ("outside", "ClusterIP")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("mode", ["by_kernel", "by_process"])
def test_who_reaches_what(request, mode, source, target, protocol):
    if source == "outside" and target in NAMES:
        return  # it has no reason to ask the cluster's DNS
    table = request.getfixturevalue(mode)
    answer = table.answers[source][table.address(target, protocol)]
    assert (answer.split()[0] == "web") if reached(source, target) else (answer == "refused")


@pytest.mark.parametrize(
    ("source", "target", "seen"),
    [
        ("same node", "pod IP", "near"),
        ("other node", "pod IP", "far"),
        ("same node", "ClusterIP", "near"),
        ("other node", "ClusterIP", "far"),
        ("node", "pod IP", "host"),
    ],
)
def test_a_server_sees_its_clients_own_address(by_kernel, source, target, seen):
    for protocol in ("tcp", "udp"):
        asked = by_kernel.address(target, protocol)
        assert by_kernel.answers[source][asked] == f"web {by_kernel.pod[seen]}"


def test_a_pod_that_meets_itself_through_its_service_sees_the_nodes_address(by_kernel):
    assert by_kernel.answers["same pod"][by_kernel.address("ClusterIP", "tcp")] == f"web {NODES[0]}"


def test_the_user_space_proxy_shows_the_nodes_address_instead(by_process):
    assert by_process.answers["other node"][by_process.address("ClusterIP", "tcp")] == f"web {NODES[1]}"


def test_external_traffic_policy_local_keeps_the_clients_address_and_does_not_leave_the_node(by_kernel):
    port = by_kernel.services["local"]["ports"][0]["nodePort"]
    asked = [f"tcp {node} {port}" for node in NODES]
    assert reach.ask_from_outside(by_kernel.cluster, *asked) == {asked[0]: f"web {OUTSIDE}", asked[1]: "nothing"}


def test_the_virtual_address_is_on_no_interface(by_kernel):
    cluster, namespace = by_kernel.cluster, by_kernel.namespace
    for pod in ("web", "host"):
        routes = cluster.kubectl("exec", pod, "-n", namespace, "--", "cat", "/proc/net/fib_trie")
        assert by_kernel.pod[pod] in routes
        assert by_kernel.services["web"]["clusterIP"] not in routes


def test_the_nodes_say_how_services_are_routed(by_process):
    path = '-o=jsonpath={.items[*].status.conditions[?(@.type=="ServiceRouting")].reason}'
    assert by_process.cluster.kubectl("get", "nodes", path).split() == ["UserspaceProxier"] * 2
    path = '-o=jsonpath={.items[*].status.conditions[?(@.type=="NetworkPolicy")].reason}'
    assert by_process.cluster.kubectl("get", "nodes", path).split() == ["NftNotFound"] * 2
