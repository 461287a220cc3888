"""What the Ingress carries from a pod to pods: streams, WebSockets, large bodies, a load while an app is replaced."""

import json
import uuid

import pytest

from tests import live
from tests.embedded import eventually

pytestmark = pytest.mark.cluster

ADDRESS = "172.30.0.2"
SERVER = r"""
import base64, hashlib, http.server, json, os, time
LEFT = []
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.headers.get("Upgrade"):
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"),
                    ("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())):
                self.send_header(name, value)
            self.end_headers()
            while data := self.connection.recv(65536):
                self.connection.sendall(data)
        elif self.path == "/clock":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for tick in range(3):
                self.wfile.write(b"5\r\ntick\n\r\n")
                time.sleep(0.3)
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/silent":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            LEFT.append(self.connection.recv(1))
        elif self.path == "/left":
            self.answer(str(len(LEFT)).encode())
        else:
            self.answer(json.dumps({"app": os.environ["APP"], "pod": os.environ["HOSTNAME"], "path": self.path,
                                    "headers": dict(self.headers)}).encode())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps({"bytes": len(body), "sum": sum(body)}).encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""


def app(name, image):
    """A Deployment of two pods and its Service."""
    container = {
        "name": "c",
        "image": image,
        "command": ["python", "-c", SERVER],
        "env": [{"name": "APP", "value": name}],
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    }
    labels = {"app": name}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 2}}
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
           "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pods}}  # fmt: skip
    yield {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
           "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8000}]}}  # fmt: skip


class Shop:
    """A namespace with two apps, a client, and hosts of its own, since all namespaces share the controller."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace
        self.domain = f"{namespace}.example"

    def ingress(self, name, *rules, **spec):
        """Make an Ingress; a rule is (host, path, service)."""
        listed = [
            {"host": f"{host}.{self.domain}", "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": {
                "service": {"name": service, "port": {"number": 80}}}}]}}
            for host, path, service in rules
        ]  # fmt: skip
        obj = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}}
        live.make(self.cluster, self.namespace, {**obj, "spec": {"rules": listed, **spec}})
        address = "-o=jsonpath={.status.loadBalancer.ingress[0].ip}"
        eventually(lambda: self.cluster.kubectl("get", "ing", name, "-n", self.namespace, address) == ADDRESS)

    def ask(self, program):
        """Run a program in the client's pod and return what it prints."""
        source = f"import http.client, json, socket, time\nA, D = {ADDRESS!r}, {self.domain!r}\n{program}"
        return self.cluster.kubectl("exec", "client", "-n", self.namespace, "--", "python", "-c", source)

    def get(self, host, path="/"):
        """Return status and text of an answer."""
        told = self.ask(f"""
c = http.client.HTTPConnection(A, timeout=10)
c.request("GET", {path!r}, headers={{"Host": {host!r} + "." + D, "X-Forwarded-For": "6.6.6.6"}})
r = c.getresponse()
print(json.dumps([r.status, r.read().decode()]))
""")
        return json.loads(told)


@pytest.fixture(scope="module")
def shop(cluster, python_image):
    name = "shop-" + uuid.uuid4().hex[:6]
    cluster.kubectl("create", "namespace", name)
    image = f"python:{python_image}"
    client = {"name": "c", "image": image, "command": ["sleep", "1000"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"},
           "spec": {"containers": [client], "terminationGracePeriodSeconds": 0}}  # fmt: skip
    live.make(cluster, name, *app("red", image), *app("blue", image), pod)
    for each in ("red", "blue"):
        cluster.kubectl("rollout", "status", f"deployment/{each}", "-n", name, "--timeout=50s")
    made = Shop(cluster, name)
    made.ingress("both", ("red", "/", "red"), ("blue", "/", "blue"))
    yield made
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_a_pod_learns_who_asked_and_a_client_cannot_say_that_it_is_another(shop):
    headers = json.loads(shop.get("red", "/a?b=c")[1])["headers"]
    assert headers["X-Forwarded-For"] == live.address(shop.cluster, shop.namespace, "client")
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-Host"] == headers["Host"] == f"red.{shop.domain}"


def test_requests_of_one_connection_are_spread_over_the_pods(shop):
    told = shop.ask("""
c = http.client.HTTPConnection(A)
for n in range(6):
    c.request("GET", "/", headers={"Host": "red." + D})
    print(json.load(c.getresponse())["pod"])
""")
    assert sorted(told.split().count(pod) for pod in set(told.split())) == [3, 3]


def test_a_large_body_arrives_whole(shop):
    told = shop.ask("""
c = http.client.HTTPConnection(A)
c.request("POST", "/", body=b"x" * 20_000_000, headers={"Host": "red." + D})
print(c.getresponse().read().decode())
""")
    assert json.loads(told) == {"bytes": 20_000_000, "sum": 120 * 20_000_000}


def test_an_answer_is_passed_on_while_it_comes(shop):
    told = shop.ask("""
c = http.client.HTTPConnection(A)
c.request("GET", "/clock", headers={"Host": "red." + D})
r = c.getresponse()
came = [time.monotonic() for line in r]
print(came[1] - came[0], came[2] - came[1])
""")
    assert all(0.1 < float(gap) < 0.9 for gap in told.split())


def test_a_websocket_passes_through(shop):
    told = shop.ask("""
s = socket.create_connection((A, 80))
s.sendall((f"GET / HTTP/1.1\\r\\nHost: red.{D}\\r\\nConnection: keep-alive, Upgrade\\r\\nUpgrade: websocket\\r\\n"
           "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n").encode())
f = s.makefile("rb")
head = b"".join(iter(f.readline, b"\\r\\n"))
print(b" 101 " in head and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head)
s.sendall(b"\\x81\\x85\\0\\0\\0\\0hello")
print(f.read(11)[-5:].decode())
""")
    assert told.split() == ["True", "hello"]


def test_a_client_that_leaves_a_silent_stream_is_noticed(shop):
    """The pod's connection is closed too, though nothing is ever written that could fail."""
    shop.ask("""
s = socket.create_connection((A, 80))
s.sendall(f"GET /silent HTTP/1.1\\r\\nHost: red.{D}\\r\\n\\r\\n".encode())
assert b"200" in s.recv(4096)
s.close()
""")
    eventually(lambda: shop.get("red", "/left") == [200, "1"])
