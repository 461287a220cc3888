"""Names asked from inside pods, of the server behind the virtual address."""

import subprocess
import sys

import pytest

from tests import reach
from tests.embedded import Background, eventually
from tests.live import fresh_namespace, make, pod

FLOOD = """
import os, socket, sys
where = (sys.argv[1], 53)
idle = [socket.create_connection(where) for _ in range(150)]
packets = socket.socket(type=socket.SOCK_DGRAM)
junk = [os.urandom(n) for n in range(1, 600)]
for each in 50 * junk:
    packets.sendto(each, where)
print("poured", flush=True)
sys.stdin.read()
"""
ECHO = "mkdir /w; hostname > /w/index.html; httpd -f -p 8080 -h /w"


@pytest.fixture(scope="module")
def shop(cluster):
    """A namespace with a web server and a client."""
    with fresh_namespace(cluster) as namespace:
        web = pod("web-0", ECHO, hostname="web-0", subdomain="peers")
        web["metadata"]["labels"] = {"app": "web"}
        make(cluster, namespace, web, pod("client", "sleep 1000"), service("web"), service("peers", clusterIP="None"))
        yield namespace


def service(name, **spec):
    spec = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def ask(cluster, shop, *command):
    return cluster.kubectl("exec", "client", "-n", shop, "--", *command, check=False)


def test_a_service_is_found_by_its_name_through_the_search_list(cluster, shop):
    assert ask(cluster, shop, "wget", "-qO-", "http://web").stdout == "web-0\n"
    assert ask(cluster, shop, "wget", "-qO-", f"http://web.{shop}").stdout == "web-0\n"


def test_a_name_resolves_the_moment_its_service_exists(cluster, shop):
    cluster.kubectl("apply", "-n", shop, "-f", "-", input=cluster_ip_service("brand-new"))
    assert f"Name:\tbrand-new.{shop}.svc.cluster.local" in ask(cluster, shop, "nslookup", "brand-new").stdout


def cluster_ip_service(name):
    return f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: 80}}]}}}}"


def test_a_pod_has_a_name_of_its_own_below_a_headless_service(cluster, shop):
    address = cluster.kubectl("get", "pod", "web-0", "-n", shop, "-o", "jsonpath={.status.podIP}")
    assert f"Address: {address}" in ask(cluster, shop, "nslookup", "web-0.peers").stdout
    assert f"Address: {address}" in ask(cluster, shop, "nslookup", "peers").stdout


def test_an_external_name_leads_outside(cluster, shop):
    alias = service("away", type="ExternalName", externalName="outside.example", selector=None, ports=None)
    make(cluster, shop, alias)
    assert "Address: 203.0.113.10" in ask(cluster, shop, "nslookup", "away").stdout


def test_a_name_that_nobody_has_is_not_found(cluster, shop):
    asked = ask(cluster, shop, "nslookup", "nobody.example")
    assert asked.returncode == 1
    assert "NXDOMAIN" in asked.stdout


def test_a_ports_number_and_an_alias_are_records_too(cluster, shop):
    name = f"_http._tcp.web.{shop}.svc.cluster.local"
    assert f"{name}\tservice = 0 100 80 web.{shop}.svc" in ask(cluster, shop, "nslookup", "-type=srv", name).stdout
    make(cluster, shop, service("api", type="ExternalName", externalName="outside.example", selector=None, ports=None))
    assert "canonical name = outside.example" in ask(cluster, shop, "nslookup", "api").stdout
    assert "name = kubernetes.default.svc.cluster.local" in ask(cluster, shop, "nslookup", "10.96.0.1").stdout


def test_a_flood_of_garbage_and_idle_connections_leaves_the_name_server_as_it_was(cluster, shop):
    before = cluster.component("dns")["pid"]
    flood = [*reach.to_outside(cluster), sys.executable, "-c", FLOOD, "172.30.0.1"]
    with Background(flood, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pouring:
        assert pouring.stdout.readline() == b"poured\n"
        for name in ("web", "peers", "web-0.peers"):
            assert ask(cluster, shop, "nslookup", name).returncode == 0
    assert cluster.component("dns")["pid"] == before


def test_a_name_server_that_is_stopped_on_purpose_refuses_at_once(cluster):
    asked = "udp 172.30.0.1 53"
    cluster.labkit("stop", "dns", "--name", cluster.name)
    try:
        assert reach.ask_from_outside(cluster, asked) == {asked: "refused"}
    finally:
        cluster.labkit("start", "dns", "--name", cluster.name)
    eventually(lambda: reach.ask_from_outside(cluster, asked) == {asked: "nothing"})  # it is no question
