"""`hostPort`: a port of the node that leads to the pod."""

import pytest

from labkit.glassbox import nftables
from labkit.glassbox.kubelet import host_ports
from tests.live import address, field, fresh_namespace, make, pod

SERVE = "mkdir /w; echo here > /w/index.html; httpd -f -v -p 8080 -h /w"


def with_port(name, **port):
    made = pod(name, SERVE, node="node1")
    made["spec"]["containers"][0]["ports"] = [{"containerPort": 8080, **port}]
    made["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    return made


def test_a_port_for_one_address_is_told_from_one_for_all():
    ruleset = host_ports.rules([("10.244.1.2", [("0.0.0.0", "tcp", 80, 8080), ("172.18.0.2", "udp", 53, 53)])])
    assert set(ruleset.entries) == {("host-ports", "tcp . 80"), ("host-address-ports", "172.18.0.2 . udp . 53")}


@pytest.mark.cluster
@pytest.mark.skipif(not nftables.binary(), reason="there is no nft")
def test_a_host_port_leads_to_the_pod_from_everywhere_and_goes_with_it(cluster):
    with fresh_namespace(cluster) as namespace:
        clients = [pod(name, "sleep 1000", node=node) for name, node in (("near", "node1"), ("far", "node2"))]
        make(cluster, namespace, with_port("web", hostPort=8081), *clients)
        url = f"http://{field(cluster, namespace, 'web', '.status.hostIP')}:8081"

        def ask(client):
            command = ("exec", client, "-n", namespace, "--", "wget", "-T", "2", "-qO-", url)
            return cluster.kubectl(*command, check=False).stdout

        assert [ask(client) for client in ("near", "far", "web")] == ["here\n"] * 3
        assert address(cluster, namespace, "far") in cluster.kubectl("logs", "web", "-n", namespace)
        cluster.kubectl("delete", "pod", "web", "-n", namespace)
        assert ask("far") == ""
