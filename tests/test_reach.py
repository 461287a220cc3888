"""The table of who reaches what: from a pod, its neighbours, the node and outside; to pods and services; TCP and UDP.

On nft and, where only the client's address is lost, on the user-space proxy. An answer is who served and whom it saw.
"""

import json

import pytest

from labkit.glassbox import nftables
from tests import live, reach
from tests.embedded import EmbeddedCluster, eventually

pytestmark = pytest.mark.cluster
PODS = {"same pod": "web", "same node": "near", "other node": "far", "node": "host"}
SOURCES = (*PODS, "outside", "host")  # the last is the one on which all of this runs
NAMES = {"service's name": "web", "headless name": "headless", "ExternalName": "external"}
TARGETS = ("pod IP", "ClusterIP", "NodePort", "NodePort of the other node", *NAMES)
CELLS = [*((target, protocol) for target in TARGETS for protocol in ("tcp", "udp")), ("Ingress", "http")]
ROUTED = "198.51.100.7"  # an address that somebody else's router sends to the nodes
OUTSIDE, FABRIC, NODES = "203.0.113.10", "172.30.0.1", ("172.30.0.11", "172.30.0.12")


class Table:
    """One cluster with a server on node1, and all that is asked of it."""

    def __init__(self, cluster, namespace, image):
        self.cluster, self.namespace, self.site = cluster, namespace, f"{namespace}.example"
        host = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
        pods = [reach.server("web", image, "node1"), reach.server("near", image, "node1")]
        pods += [reach.server("far", image, "node2"), reach.server("host", image, "node1", **host)]
        alias = f"headless.{namespace}.svc.cluster.local"
        services = [
            reach.service("web"),
            reach.service("local", externalTrafficPolicy="Local"),
            reach.service("routed", externalIPs=[ROUTED]),
            reach.service("headless", type="ClusterIP", clusterIP="None"),
            reach.service("external", type="ExternalName", externalName=alias, selector=None),
        ]
        live.make(cluster, namespace, *services, reach.ingress("web", self.site, "web"), *pods)
        self.pod = {name: live.address(cluster, namespace, name) for name in PODS.values()}
        self.services = {name: self.service(name) for name in ("web", "local")}
        self.ingress = eventually(lambda: self.service("ingress", "kube-system"))
        eventually(lambda: self.ask("near", self.address("Ingress", "http", "near")).startswith("web"))
        self.answers = {each: self.ask_all(each) for each in SOURCES}

    def service(self, name, namespace=None):
        """Return a service's ports and its address, None as long as there is none."""
        told = self.cluster.kubectl(
            "get", "service", name, "-n", namespace or self.namespace, "-o", "json", check=False
        )
        spec = json.loads(told.stdout)["spec"] if told.stdout else None
        return spec and {each["name"]: each for each in spec["ports"]} | {"address": spec["clusterIP"]}

    def address(self, target, protocol, source):
        """Return what to ask; a headless service's name leads to its pods, hence to their own ports."""
        if target in NAMES:
            return f"{protocol} {NAMES[target]}.{self.namespace} {80 if NAMES[target] == 'web' else 8080}"
        if target == "Ingress":
            door = f"127.0.0.1 {self.ingress['http']['nodePort']}" if source == "host" else "172.30.0.2 80"
            return f"http {door} {self.site}"
        node, port = NODES["other" in target], self.services["web"][protocol]["nodePort"]
        return {
            "pod IP": f"{protocol} {self.pod['web']} 8080",
            "ClusterIP": f"{protocol} {self.services['web']['address']} 80",
        }.get(target, f"{protocol} {'127.0.0.1' if source == 'host' else node} {port}")

    def ask_all(self, source):
        asked = [self.address(*cell, source) for cell in CELLS if source != "host" or cell[0] not in NAMES]
        if source == "host":
            return reach.ask_from_host(*asked)
        if source == "outside":
            return reach.ask_from_outside(self.cluster, *asked)
        return reach.ask(self.cluster, self.namespace, PODS[source], *asked)

    def ask(self, pod, target):
        return reach.ask(self.cluster, self.namespace, pod, target)[target]


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


def reached(mode, source, target):
    """Tell what a real cluster answers too.

    Pods and nodes reach everything. Beyond the nodes nobody has a route to the addresses of pods and services, nor to
    the DNS server that knows their names: the ways in are node ports and the Ingress. Without nft pods go out under
    their own addresses; so the outside must know the way back to them, and they are reached.
    """
    if source in PODS or target in ("NodePort", "NodePort of the other node", "Ingress"):
        return True
    return (mode, source, target) == ("by_process", "outside", "pod IP")


@pytest.mark.parametrize(("target", "protocol"), CELLS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("mode", ["by_kernel", "by_process"])
def test_who_reaches_what(request, mode, source, target, protocol):
    if source == "host" and target in NAMES:
        return  # it would ask the host's own name servers, beyond this machine
    table = request.getfixturevalue(mode)
    answer = table.answers[source][table.address(target, protocol, source)]
    if reached(mode, source, target):
        assert answer.split()[0] == "web"
    elif source == "outside":
        assert answer == ("no such name" if target in NAMES else "refused")
    else:
        assert not answer.startswith("web")  # where the host's own network leads such an address is not for us to say


@pytest.mark.parametrize("mode", ["by_kernel", "by_process"])
def test_an_external_address_leads_to_its_service_as_long_as_there_is_one(request, mode):
    table = request.getfixturevalue(mode)
    asked = [f"{protocol} {ROUTED} 80" for protocol in ("tcp", "udp")]

    def answers():
        told = reach.ask(table.cluster, table.namespace, "far", *asked)
        return {answer.split()[0] for answer in told.values()}

    assert answers() == {"web"}
    table.cluster.kubectl("delete", "service", "routed", "-n", table.namespace)
    eventually(lambda: "web" not in answers())


@pytest.mark.parametrize(
    ("source", "target", "seen"),
    [
        ("same node", "pod IP", "near"),
        ("other node", "pod IP", "far"),
        ("same node", "ClusterIP", "near"),
        ("other node", "ClusterIP", "far"),
        ("node", "pod IP", "host"),
        ("other node", "headless name", "far"),
    ],
)
def test_a_server_sees_its_clients_own_address(by_kernel, source, target, seen):
    for protocol in ("tcp", "udp"):
        asked = by_kernel.address(target, protocol, source)
        assert by_kernel.answers[source][asked] == f"web {by_kernel.pod[seen]}"


def test_a_pod_that_meets_itself_through_its_service_sees_the_nodes_address(by_kernel):
    asked = by_kernel.address("ClusterIP", "tcp", "same pod")
    assert by_kernel.answers["same pod"][asked] == f"web {NODES[0]}"


def test_an_ingress_tells_the_server_its_clients_address(by_kernel):
    for source, seen in (("far", by_kernel.pod["far"]), ("outside", OUTSIDE)):
        asked = by_kernel.address("Ingress", "http", source)
        assert by_kernel.answers["other node" if source == "far" else source][asked] == f"web {seen}"


def test_the_user_space_proxy_shows_the_nodes_address_instead(by_process):
    asked = by_process.address("ClusterIP", "tcp", "other node")
    assert by_process.answers["other node"][asked] == f"web {NODES[1]}"


def test_external_traffic_policy_local_keeps_the_clients_address_and_does_not_leave_the_node(by_kernel):
    port = by_kernel.services["local"]["tcp"]["nodePort"]
    asked = [f"tcp {node} {port}" for node in NODES]
    assert reach.ask_from_outside(by_kernel.cluster, *asked) == {asked[0]: f"web {OUTSIDE}", asked[1]: "nothing"}


@pytest.mark.parametrize("app", ["web", "far"])
def test_the_hosts_loopback_asks_the_node_that_has_the_endpoint(by_kernel, app):
    """Over UDP nobody tells that a packet was dropped: it must go to the right node at once."""
    name = f"only-{app}"
    live.make(by_kernel.cluster, by_kernel.namespace, reach.service(name, app, externalTrafficPolicy="Local"))
    asked = [f"{each} 127.0.0.1 {by_kernel.service(name)[each]['nodePort']}" for each in ("tcp", "udp")]
    eventually(lambda: reach.ask_from_host(*asked) == dict.fromkeys(asked, f"{app} {FABRIC}"))


def test_the_virtual_address_is_on_no_interface(by_kernel):
    cluster, namespace = by_kernel.cluster, by_kernel.namespace
    for pod in ("web", "host"):
        routes = cluster.kubectl("exec", pod, "-n", namespace, "--", "cat", "/proc/net/fib_trie")
        assert by_kernel.pod[pod] in routes
        assert by_kernel.services["web"]["address"] not in routes


def test_the_nodes_say_how_services_are_routed(by_process):
    path = '-o=jsonpath={.items[*].status.conditions[?(@.type=="ServiceRouting")].reason}'
    assert by_process.cluster.kubectl("get", "nodes", path).split() == ["UserspaceProxier"] * 2
    path = '-o=jsonpath={.items[*].status.conditions[?(@.type=="NetworkPolicy")].reason}'
    assert by_process.cluster.kubectl("get", "nodes", path).split() == ["NftNotFound"] * 2
