"""What services cost: ways to a pod beside the direct one, names, and how soon a change is a rule."""

import json
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from labkit.glassbox import nftables
from labkit.glassbox.client import Client
from labkit.glassbox.kubelet import interpreters
from tests import live, reach
from tests.embedded import EmbeddedCluster, eventually

NAMESPACE, CONNECTIONS, SECONDS, CHANGES, AT_ONCE = "bench-services", 2000, 2.0, 21, 32
SITE, INGRESS, DNS = "bench.example", "172.30.0.2", "10.96.0.10"
CONNECT = """
import json, socket, sys, time
host, port, count, site = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
request = f"GET / HTTP/1.0\\r\\nHost: {site}\\r\\n\\r\\n".encode()
took = []
for _ in range(count):
    started = time.perf_counter()
    with socket.create_connection((host, port), 5) as to:
        if site:
            to.sendall(request)
            while to.recv(4096): pass
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
host, port, seconds, site = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
head = f"POST /sink HTTP/1.1\\r\\nHost: {site}\\r\\nContent-Length: {10**15}\\r\\n\\r\\n" if site else ""
sent, data = 0, bytes(1 << 20)
with socket.create_connection((host, port)) as to:
    to.sendall(head.encode())
    end = time.perf_counter() + seconds
    while time.perf_counter() < end: sent += to.send(data)
print(sent)
"""
ASK = """
import json, socket, struct, sys, time
server, name, count, at_once = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
question = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\\0" + struct.pack("!HH", 1, 1)
with socket.socket(type=socket.SOCK_DGRAM) as to:
    to.settimeout(5)
    to.connect((server, 53))
    took = []
    for _ in range(count):
        started = time.perf_counter()
        to.send(question)
        assert to.recv(512)[7] == 1, "one answer"
        took.append(1e6 * (time.perf_counter() - started))
    started = time.perf_counter()
    for _ in range(count // at_once):
        for _ in range(at_once): to.send(question)
        for _ in range(at_once): to.recv(512)
    print(json.dumps([count // at_once * at_once / (time.perf_counter() - started), took]))
"""


def measure() -> list[tuple[str, str]]:
    """Return rows of the table, from a cluster of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="labkit-bench-") as home,
        EmbeddedCluster(Path(home), "services") as cluster,
    ):
        cluster.kubectl("create", "namespace", NAMESPACE)
        _make(cluster)
        return [*_latency(cluster), *_throughput(cluster), *_names(cluster), *_programming(cluster)]


def _make(cluster) -> None:
    image = interpreters.find()[0].minor
    server, client = reach.server("server", image, "node2"), reach.server("client", image, "node1")
    sink = {"name": "sink", "image": f"python:{image}", "command": ["python", "-c", SINK]}
    server["spec"]["containers"].append(sink)
    ports = [{"name": name, "port": port} for name, port in (("web", 8080), ("http", reach.HTTP), ("sink", 9000))]
    service = _service("server", ports, type="NodePort", selector={"app": "server"})
    ingress = reach.ingress("server", SITE, "server")
    [rule] = ingress["spec"]["rules"]
    sunk = {"service": {"name": "server", "port": {"name": "sink"}}}
    rule["http"]["paths"].append({"path": "/sink", "pathType": "Prefix", "backend": sunk})
    live.make(cluster, NAMESPACE, service, ingress, server, client)
    asked = f"http {INGRESS} 80 {SITE}"
    eventually(lambda: reach.ask(cluster, NAMESPACE, "client", asked)[asked].startswith("server"))


def _latency(cluster) -> list[tuple[str, str]]:
    service = json.loads(cluster.kubectl("get", "service", "server", "-n", NAMESPACE, "-o", "json"))["spec"]
    direct = cluster.kubectl("get", "pod", "server", "-n", NAMESPACE, "-o", "jsonpath={.status.podIP}")
    ways = {
        "TCP connect pod → pod on the other node, directly": (direct, 8080, ""),
        "TCP connect pod → pod on the other node, through the VIP": (service["clusterIP"], 8080, ""),
        "TCP connect pod → pod on the other node, through a NodePort": (
            "172.30.0.11",
            service["ports"][0]["nodePort"],
            "",
        ),
        "HTTP GET, a connection each, directly": (direct, reach.HTTP, SITE),
        "HTTP GET, a connection each, through the Ingress": (INGRESS, 80, SITE),
    }
    return [
        (way, _figures(json.loads(_run(cluster, CONNECT, host, port, CONNECTIONS, site))))
        for way, (host, port, site) in ways.items()
    ]


def _figures(took: list[float]) -> str:
    return f"p50 {median(took):.0f} µs, p99 {quantiles(took, n=100)[98]:.0f} µs"


def _throughput(cluster) -> list[tuple[str, str]]:
    address = cluster.kubectl("get", "service", "server", "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")
    ways = {
        "one TCP connection through the VIP": (address, 9000, ""),
        "one large body through the Ingress": (INGRESS, 80, SITE),
    }
    sent = {way: int(_run(cluster, POUR, *to[:2], SECONDS, to[2])) for way, to in ways.items()}
    return [(way, f"{8 * sent[way] / SECONDS / 1e9:.1f} Gbit/s") for way in ways]


def _names(cluster) -> list[tuple[str, str]]:
    name = f"server.{NAMESPACE}.svc.cluster.local"
    rate, took = json.loads(_run(cluster, ASK, DNS, name, CONNECTIONS, AT_ONCE))
    return [
        ("a name asked of DNS, one after another", _figures(took)),
        (f"names asked of DNS, {AT_ONCE} at once", f"{rate:,.0f}/s"),
    ]


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
        eventually(lambda last=services - 1: f"/s{last}/tcp/__" in reach.rules(proxy), within=60)
        with reach.new_chains(proxy) as told:
            took = [_until_ruled(api, told, services - 1, f"10.244.1.{each + 2}") for each in range(CHANGES)]
        rows.append((f"endpoint changed → rule, {services} services", f"{1000 * median(took):.0f} ms"))
    return rows


def _until_ruled(api, told, number: int, address: str) -> float:
    """Seconds from the answer to the write to the moment at which the kernel tells of the endpoint's chain."""
    endpoints = {"endpoints": _slice(number, address)["endpoints"]}
    api.patch("endpointslices", f"s{number}", NAMESPACE, endpoints, kind="merge")
    written = time.perf_counter()
    assert any(f"/s{number}/tcp/__{address}/80" in line for line in told), "the kernel tells no more"
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
