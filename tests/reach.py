"""Who reaches what: pods that serve, and ask others, over TCP, UDP and HTTP; an answer is whom the server saw."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

from labkit.glassbox import network, nftables
from tests.embedded import Background

PORTS, HTTP = (8080, 8081), 8082  # the first two over TCP and UDP
SERVE = f"""
import http.server, socket, socketserver, threading
class Tcp(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall(f"{{NAME}} {{self.client_address[0]}}".encode())
class Udp(socketserver.BaseRequestHandler):
    def handle(self): self.request[1].sendto(f"{{NAME}} {{self.client_address[0]}}".encode(), self.client_address)
class Http(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        seen = self.headers.get("X-Forwarded-For", self.client_address[0])
        self.wfile.write(f"{{NAME}} {{seen}}".encode())
    def log_message(self, *_): pass
class Threading(socketserver.ThreadingTCPServer): allow_reuse_address, request_queue_size = True, 1000
NAME = socket.gethostname()
for port in {PORTS}:
    for server in (Threading(("", port), Tcp), socketserver.UDPServer(("", port), Udp)):
        threading.Thread(target=server.serve_forever).start()
threading.Thread(target=Threading(("", {HTTP}), Http).serve_forever).start()
threading.Event().wait()
"""
ASK = """
import json, socket, sys, threading
def ask(protocol, host, port, site=""):
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as to:
        to.settimeout(float(sys.argv[1]))
        try:
            to.connect((host, int(port)))
            if protocol == "http":
                to.send(f"GET / HTTP/1.0\\r\\nHost: {site}\\r\\n\\r\\n".encode())
                return b"".join(iter(lambda: to.recv(4096), b"")).partition(b"\\r\\n\\r\\n")[2].decode()
            to.send(b"?") if protocol == "udp" else None
            return to.recv(100).decode() or "closed"
        except TimeoutError:
            return "nothing"
        except socket.gaierror:
            return "no such name"
        except OSError as error:
            return "refused" if error.errno in (111, 104, 113, 101) else str(error)
found = {}
def one(target): found[target] = ask(*target.split())
threads = [threading.Thread(target=one, args=(target,)) for target in sys.argv[2:]]
[each.start() for each in threads]; [each.join() for each in threads]
print(json.dumps(found))
"""
LOAD = """
import asyncio, collections, json, sys, time
host, port, rate, seconds, site = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
request = f"GET / HTTP/1.0\\r\\nHost: {site}\\r\\n\\r\\n".encode() if site else b""
failed, answers, took = collections.Counter(), collections.Counter(), []
async def one():
    started = time.monotonic()
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 5)
        writer.write(request)
        answer = (await asyncio.wait_for(reader.read(), 5)).decode()
        answers[(answer.partition("\\r\\n\\r\\n")[2] if site else answer).split()[0]] += 1
        writer.close()
        took.append(1000 * (time.monotonic() - started))
    except Exception as error:
        failed[repr(error)] += 1
async def main():
    started, tasks = time.monotonic(), []
    print("started", flush=True)
    for number in range(rate * seconds):
        await asyncio.sleep(started + number / rate - time.monotonic())
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
asyncio.run(main())
took.sort()
p50, p99 = (took[int(len(took) * part)] if took else None for part in (0.5, 0.99))
print(json.dumps({"failed": failed, "answers": answers, "p50_ms": p50, "p99_ms": p99}))
"""
PATIENCE = "0.5"  # seconds for an answer


def server(name, image, node=None, labels=None, **spec):
    """A pod that serves on PORTS and from which others can be asked."""
    ports = [{"name": "web", "containerPort": PORTS[0]}, {"name": "other", "containerPort": PORTS[1]}]
    container = {"name": "c", "image": f"python:{image}", "command": ["python", "-c", SERVE], "ports": ports}
    container["readinessProbe"] = {"tcpSocket": {"port": PORTS[1]}, "periodSeconds": 1}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1, **spec}
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    metadata = {"name": name, "labels": {"app": name, **(labels or {})}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(name, app="web", **spec):
    """A service of such a pod at port 80 over TCP and UDP, and at port 81 over HTTP."""
    ports = [
        {"name": each, "port": port, "targetPort": target, "protocol": protocol}
        for each, port, target, protocol in (
            ("tcp", 80, "web", "TCP"),
            ("udp", 80, 8080, "UDP"),
            ("http", 81, HTTP, "TCP"),
        )
    ]
    spec = {"type": "NodePort", "selector": {"app": app}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def ingress(name, host, service):
    """An Ingress that leads to the port for HTTP of such a service."""
    backend = {"service": {"name": service, "port": {"name": "http"}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}
    return {**kind, "metadata": {"name": name}, "spec": {"rules": [rule]}}


def ask(cluster, namespace, pod, *targets):
    """Ask each target ("tcp ADDRESS PORT", "http ADDRESS PORT HOST") from a pod; return what each answered.

    An answer, "refused" or "nothing".
    """
    command = ["exec", pod, "-n", namespace, "--", "python", "-c", ASK, PATIENCE, *targets]
    return json.loads(cluster.kubectl(*command))


def ask_from_outside(cluster, *targets):
    """The same from the host outside."""
    return ask_from_host(*targets, through=to_outside(cluster))


def to_outside(cluster):
    """Return the command that runs another on the host outside."""
    machine = (cluster.root / "machine.pid").read_text()
    return [*enter(machine)[:-1], f"--net=/proc/{machine}/root{network.OUTSIDE_NETNS}"]


def ask_from_host(*targets, through=()):
    """The same from the host on which the cluster runs."""
    command = [*through, sys.executable, "-c", ASK, PATIENCE, *targets]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@contextmanager
def load(cluster, namespace, pod, host, port, *, rate=200, seconds=5, site=""):
    """Ask steadily from a pod, a connection a request, while the block runs; what came of it is there at the end."""
    command = ["exec", pod, "-n", namespace, "--", "python", "-c", LOAD, host, str(port), str(rate), str(seconds), site]
    with cluster.kubectl_in_background(*command) as process:
        assert process.stdout.readline() == "started\n"
        told = {}
        yield told
        told |= json.loads(process.stdout.read())


def rules(process, table="kube-proxy"):
    """Return what `nft list` says in a process's network."""
    command = [*enter(process), nftables.binary(), "list", "table", "ip", table]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def new_chains(process):
    """Give the lines in which the kernel tells of new chains in a process's network, as they come."""
    command = [*enter(process), nftables.binary(), "monitor", "new", "chains"]
    with Background(command, stdout=subprocess.PIPE, text=True) as monitor:
        time.sleep(0.5)  # it says nothing of when it listens
        yield monitor.stdout


def enter(process):
    """Return the command that runs another in a process's network; an ordinary user is root there alone."""
    own = ["-U", "--preserve-credentials"] if os.getuid() else []
    return ["nsenter", "-t", str(process), *own, "-n"]
