"""What services cost: connecting through a virtual address against directly, and how soon a change is a rule."""

import json
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from labkit.glassbox import nftables
from labkit.glassbox.client import Client
from labkit.glassbox.kubelet import interpreters
from tests import live, reach
from tests.embedded import EmbeddedCluster

NAMESPACE, CONNECTIONS, SECONDS, CHANGES = "bench-services", 2000, 2.0, 7
CONNECT = """
import json, socket, sys, time
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
took = []
for _ in range(count):
    started = time.perf_counter()
    with socket.create_connection((host, port), 5):
        took.append(1e6 * (time.perf_counter() - started))
print(json.dumps(took))
"""
SINK = """
import socket
with socket.create_server(("", 9000)) as server:
    while True:
        with server.accept()[0] as peer:
            while peer.recv(1 << 20): pass
"""
POUR = """
import socket, sys, time
sent, data, end = 0, bytes(1 << 20), time.perf_counter() + float(sys.argv[3])
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as to:
    while time.perf_counter() < end: sent += to.send(data)
print(sent)
"""


def measure() -> list[tuple[str, str]]:
    """Return rows of the table, from a cluster of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="labkit-bench-") as home,
        EmbeddedCluster(Path(home), "services") as cluster,
    ):
        cluster.kubectl("create", "namespace", NAMESPACE)
        _make(cluster)
        return [*_latency(cluster), _throughput(cluster), *_programming(cluster)]


def _make(cluster) -> None:
    image = interpreters.find()[0].minor
    server, client = reach.server("server", image, "node2"), reach.server("client", image, "node1")
    sink = {"name": "sink", "image": f"python:{image}", "command": ["python", "-c", SINK]}
    server["spec"]["containers"].append(sink)
    ports = [{"name": name, "port": port} for name, port in (("web", 8080), ("sink", 9000))]
    service = _service("server", ports, type="NodePort", selector={"app": "server"})
    live.make(cluster, NAMESPACE, service, server, client)


def _latency(cluster) -> list[tuple[str, str]]:
    service = json.loads(cluster.kubectl("get", "service", "server", "-n", NAMESPACE, "-o", "json"))["spec"]
    direct = cluster.kubectl("get", "pod", "server", "-n", NAMESPACE, "-o", "jsonpath={.status.podIP}")
    ways = {
        "directly": (direct, 8080),
        "through the VIP": (service["clusterIP"], 8080),
        "through a NodePort": ("172.30.0.11", service["ports"][0]["nodePort"]),
    }
    rows = []
    for way, (host, port) in ways.items():
        took = json.loads(_run(cluster, CONNECT, host, port, CONNECTIONS))
        figures = f"p50 {median(took):.0f} µs, p99 {quantiles(took, n=100)[98]:.0f} µs"
        rows.append((f"TCP connect pod → pod on the other node, {way}", figures))
    return rows


def _throughput(cluster) -> tuple[str, str]:
    address = cluster.kubectl("get", "service", "server", "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")
    sent = int(_run(cluster, POUR, address, 9000, SECONDS))
    return "one TCP connection through the VIP", f"{8 * sent / SECONDS / 1e9:.1f} Gbit/s"


def _programming(cluster) -> list[tuple[str, str]]:
    """How long after an endpoint changed at the API the node's rules have it, beside so many other services."""
    if nftables.binary() is None:
        return []
    api = Client.from_kubeconfig(str(cluster.kubeconfig), user_agent="bench")
    proxy = cluster.component("kube-proxy@node1")["pid"]
    rows, made = [], 0
    for services in (10, 100, 500):
        for number in range(made, services):
            api.create("services", _service(f"s{number}", [{"port": 80}]))
            api.create("endpointslices", _slice(number, "10.244.1.250"))
        made = services
        took = [_until_ruled(api, proxy, services - 1, f"10.244.1.{each + 2}") for each in range(CHANGES)]
        rows.append((f"endpoint changed → rule, {services} services", f"{1000 * median(took):.0f} ms"))
    return rows


def _until_ruled(api, proxy: int, number: int, address: str) -> float:
    """Seconds from the answer to the write to the moment at which nft lists the endpoint's chain."""
    key = f"{NAMESPACE}/s{number}/tcp/"
    chain = f"endpoint-{nftables.short_hash(f'{key}{address}:80')}-{key}__{address}/80"
    endpoints = {"endpoints": _slice(number, address)["endpoints"]}
    api.patch("endpointslices", f"s{number}", NAMESPACE, endpoints, kind="merge")
    written = time.perf_counter()
    while not reach.has_chain(proxy, chain):
        assert time.perf_counter() < written + 10, f"no chain {chain}"
    return time.perf_counter() - written


def _service(name: str, ports: list[dict], **spec) -> dict:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports, **spec}}


def _slice(number: int, address: str) -> dict:
    labels = {"kubernetes.io/service-name": f"s{number}"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"s{number}", "namespace": NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"port": 80, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


def _run(cluster, program: str, *arguments: object) -> str:
    return cluster.kubectl(
        "exec", "client", "-n", NAMESPACE, "-c", "c", "--", "python", "-c", program, *map(str, arguments)
    )
