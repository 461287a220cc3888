"""kube-proxy at work: whom a service's traffic goes to, and that none is lost while things change."""

import json
import time
from functools import partial
from statistics import median

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


def test_a_services_rules_list_its_endpoints_within_a_tenth_of_a_second_of_their_change(town):
    address = town.service("by-hand", selector={}, port=80)
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "by-hand-1", "labels": {"kubernetes.io/service-name": "by-hand"}},
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": "TCP"}],
    }
    proxies = [town.cluster.component(f"kube-proxy@{node}")["pid"] for node in ("node1", "node2")]
    took = []
    for ready in 3 * (["10.244.1.200", "10.244.2.200"], ["10.244.2.200"]):
        listed = [{"addresses": [each], "conditions": {"ready": True}} for each in ready]
        town.kubectl("apply", "-f", "-", input=json.dumps({**endpoints, "endpoints": listed}))
        changed = time.monotonic()
        for proxy in proxies:
            eventually(partial(_lists, proxy, {*ready}), within=2, every=0.005)
        took.append(time.monotonic() - changed)
    assert median(took) < 0.1
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


@pytest.mark.slow
@pytest.mark.parametrize("component", ["kube-proxy@node1", "api-server"])
def test_no_request_is_lost_while_a_component_restarts(town, component):
    address = town.service("steady")
    town.settle("near", address, "one", "two")
    command = ["python", "-c", reach.LOAD, address, "80", "200", "4"]
    container = {"name": "c", "image": f"python:{town.image}", "command": command}
    asker = live.pod(component.partition("@")[0], node="node1", containers=[container], restartPolicy="Never")
    live.make(town.cluster, town.namespace, asker)
    restarted = town.cluster.labkit("restart", component, "--name", town.cluster.name)
    assert restarted.returncode == 0, restarted.stderr
    live.wait(town.cluster, town.namespace, asker["metadata"]["name"], "jsonpath={.status.phase}=Succeeded")
    told = json.loads(live.logs(town.cluster, town.namespace, asker["metadata"]["name"]).splitlines()[-1])
    assert told["failed"] == {}
    assert sum(told["answers"].values()) == 800


@pytest.mark.slow
def test_no_request_is_lost_during_a_rolling_update(town):
    template = reach.server("rolling", town.image)
    [container] = template["spec"]["containers"]
    container["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
    template["spec"]["terminationGracePeriodSeconds"] = 5
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "rolling"}}}
    spec["template"] = {"metadata": template["metadata"], "spec": template["spec"]}
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "rolling"}, "spec": spec}
    town.kubectl("apply", "-f", "-", input=json.dumps(made))
    town.kubectl("rollout", "status", "deployment/rolling", "--timeout=50s")
    address = town.service("rolling", selector={"app": "rolling"})
    eventually(lambda: town.answers("near", address)[1] == 0)
    with reach.load(town.cluster, town.namespace, "near", address, 80, seconds=8) as told:
        town.kubectl("rollout", "restart", "deployment/rolling")
        town.kubectl("rollout", "status", "deployment/rolling", "--timeout=50s")
    assert told["failed"] == {}
    assert len(told["answers"]) == 4  # two old pods, two new ones
