"""How containers are asked how they are, and what the answers are called; against real servers on localhost."""

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from labkit.glassbox.kubelet import prober
from labkit.glassbox.kubelet.prober import FAILURE, SUCCESS, WARNING
from labkit.glassbox.kubelet.probes import Tally


class Handler(BaseHTTPRequestHandler):
    asked: dict = {}

    def do_GET(self):
        type(self).asked = dict(self.headers)
        code, _, where = self.path.removeprefix("/").partition("/")
        self.send_response(int(code))
        if where:
            self.send_header("Location", f"http://{where}:{self.server.server_port}/200")
        self.end_headers()
        self.wfile.write(b"words")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@contextmanager
def silent():
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.parametrize(
    ("path", "result", "text"),
    [
        ("/200", SUCCESS, "words"),
        ("/399", SUCCESS, "words"),
        ("/404", FAILURE, "HTTP probe failed with statuscode: 404"),
        ("/500", FAILURE, "HTTP probe failed with statuscode: 500"),
        ("/302/127.0.0.1", SUCCESS, "words"),
        ("/302/elsewhere.example", WARNING, "Probe terminated redirects, Response body: words"),
    ],
)
def test_an_http_answer(server, path, result, text):
    assert prober.get(server + path, [], 2) == prober.Outcome(result, text)


def test_an_http_probe_says_who_it_is_and_sends_the_headers_it_is_given(server):
    prober.get(server + "/200", [{"name": "X-Custom", "value": "1"}, {"name": "Host", "value": "shop.example"}], 2)
    assert (Handler.asked["User-Agent"], Handler.asked["X-Custom"], Handler.asked["Host"]) == (
        "kube-probe/1.36",
        "1",
        "shop.example",
    )


def test_nobody_listens():
    port = free_port()
    refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert prober.connect("127.0.0.1", port, 1) == prober.Outcome(FAILURE, refused)
    target = f"http://127.0.0.1:{port}/"
    assert prober.get(target, [], 1) == prober.Outcome(FAILURE, f'Get "{target}": {refused}')


def test_nobody_answers_in_time():
    with silent() as port:
        assert prober.connect("127.0.0.1", port, 1).result == SUCCESS
        target = f"http://127.0.0.1:{port}/"
        late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        assert prober.get(target, [], 0.1) == prober.Outcome(FAILURE, f'Get "{target}": {late}')


def test_plain_http_where_tls_was_asked(server):
    target = server.replace("http", "https") + "/200"
    assert prober.get(target, [], 2).text == f'Get "{target}": http: server gave HTTP response to HTTPS client'


def test_a_port_may_be_named():
    spec = {"ports": [{"name": "web", "containerPort": 8080}]}
    assert prober.url({"port": "web", "path": "healthz"}, "10.244.1.2", spec) == "http://10.244.1.2:8080/healthz"


def test_so_many_answers_in_a_row_make_a_verdict():
    probe, tally, verdicts = {"failureThreshold": 3, "successThreshold": 2}, Tally(True), []
    for well in (False, False, True, False, False, False, True, True):
        tally = tally.after(well, probe)
        verdicts.append(tally.verdict)
    assert verdicts == [True, True, True, True, True, False, False, True]
