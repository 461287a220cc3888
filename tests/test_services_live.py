"""kube-proxy at work: whom a service's traffic goes to, and that none is lost while things change."""

import json
from functools import partial

import pytest

from labkit.glassbox import nftables
from tests import live, reach
from tests.embedded import eventually

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(nftables.binary() is None, reason="there is no nft"),
]
UDP_ASKER = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
    to.settimeout(0.2)
    to.connect((sys.argv[1], 53))
    while True:
        try:
            to.send(b"?")
            print(to.recv(100).decode().split()[0], flush=True)
        except OSError:
            pass
        time.sleep(0.05)
"""


class Town:
    """Two servers, one a node, and a pod on each node that asks them."""

    def __init__(self, cluster, namespace, image):
        self.cluster, self.namespace, self.image = cluster, namespace, image
        servers = [
            reach.server(name, image, node, {"group": "servers"}) for name, node in (("one", "node1"), ("two", "node2"))
        ]
        askers = [reach.server(name, image, node) for name, node in (("near", "node1"), ("far", "node2"))]
        live.make(cluster, namespace, *servers, *askers)

    def kubectl(self, *arguments, **more):
        return self.cluster.kubectl(*arguments, "-n", self.namespace, **more)

    def service(self, name, selector=None, protocol="TCP", port=80, target="web", **spec):
        """Make a service and return its address."""
        ports = [{"port": port, "targetPort": target, "protocol": protocol}]
        spec = {"selector": {"group": "servers"} if selector is None else selector, "ports": ports, **spec}
        made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
        self.kubectl("apply", "-f", "-", input=json.dumps(made))
        return self.kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}")

    def answers(self, pod, address, times=16, port=80):
        """Return who answers."""
        with reach.load(self.cluster, self.namespace, pod, address, port, rate=times, seconds=1) as told:
            pass
        return {*told["answers"]}, sum(told["failed"].values())

    def settle(self, pod, address, *who):
        """Wait until these answer."""
        eventually(lambda: self.answers(pod, address) == ({*who}, 0))


@pytest.fixture(scope="module")
def town(cluster, python_image):
    with live.fresh_namespace(cluster) as namespace:
        yield Town(cluster, namespace, python_image)


def test_connections_are_spread_over_the_endpoints(town):
    town.settle("near", town.service("spread"), "one", "two")


def test_a_client_with_affinity_stays_with_one_endpoint(town):
    address = town.service("affine", sessionAffinity="ClientIP")
    eventually(lambda: town.answers("near", address)[1] == 0)
    found, failed = town.answers("near", address)
    assert (len(found), failed) == (1, 0)


def test_internal_traffic_policy_local_stays_on_the_node(town):
    address = town.service("inside", internalTrafficPolicy="Local")
    town.settle("near", address, "one")
    town.settle("far", address, "two")


def test_a_service_without_endpoints_refuses_at_once(town):
    address = town.service("empty", selector={"app": "nobody"})
    asked = f"tcp {address} 80"
    eventually(lambda: reach.ask(town.cluster, town.namespace, "near", asked) == {asked: "refused"})


def test_a_services_rules_list_its_endpoints_and_follow_them(town):
    address = town.service("by-hand", selector={}, port=80)
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "by-hand-1", "labels": {"kubernetes.io/service-name": "by-hand"}},
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": "TCP"}],
    }
    proxies = [town.cluster.component(f"kube-proxy@{node}")["pid"] for node in ("node1", "node2")]
    for ready in (["10.244.1.200", "10.244.2.200"], ["10.244.2.200"]):
        listed = [{"addresses": [each], "conditions": {"ready": True}} for each in ready]
        town.kubectl("apply", "-f", "-", input=json.dumps({**endpoints, "endpoints": listed}))
        for proxy in proxies:
            eventually(partial(_lists, proxy, {*ready}))
    assert address in reach.rules(proxies[0])


def _lists(proxy, wanted):
    """Tell whether these are the endpoints in the node's rules for the service by-hand."""
    lines = reach.rules(proxy).splitlines()
    chains = [number for number, line in enumerate(lines) if "chain endpoint-" in line and "/by-hand/" in line]
    ends = [line for number in chains for line in lines[number : number + 6] if "dnat to" in line]
    return {line.rpartition("dnat to ")[2].partition(":")[0] for line in ends} == wanted


def test_a_udp_client_is_sent_to_another_endpoint_when_its_own_is_gone(town):
    live.make(
        town.cluster, town.namespace, *(reach.server(f"udp-{n}", town.image, labels={"group": "udp"}) for n in "ab")
    )
    address = town.service("names", selector={"group": "udp"}, protocol="UDP", port=53, target=8080)
    asker = town.cluster.kubectl_in_background(
        "exec", "near", "-n", town.namespace, "--", "python", "-c", UDP_ASKER, address
    )
    with asker as process:
        first = process.stdout.readline().strip()
        town.kubectl("delete", "pod", first, "--now")
        assert any(line.strip() not in ("", first) for line in process.stdout)
