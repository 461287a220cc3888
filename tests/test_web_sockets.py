"""What web consoles do, who have WebSockets and no headers: watch, read logs, run commands, show a token."""

import base64
import json
from contextlib import closing

import pytest
import websocket

from labkit.glassbox import pki
from tests.api_server import ADMIN
from tests.live import fresh_namespace, make, pod

SHELL = ["sh", "-c", "read line; echo got $line; exit 3"]


def protocol(token):
    return "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def opened(url, authority, *protocols, token=None):
    header = {"Authorization": f"Bearer {token}"} if token else {}
    tls = {"ca_certs": str(authority)}
    return closing(
        websocket.create_connection(url, subprotocols=list(protocols), header=header, sslopt=tls, timeout=20)
    )


@pytest.fixture
def watch(api_server, namespace):
    """Open a watch of the namespace's config maps by WebSocket."""
    url = api_server.url.replace("https", "wss") + f"/api/v1/namespaces/{namespace}/configmaps?watch=1"
    token = pki.tokens(api_server.pki)[ADMIN]
    return lambda *protocols, **given: opened(url, api_server.pki / "ca.crt", *protocols, **{"token": token, **given})


def test_an_event_of_a_watch_is_a_frame(api_server, namespace, watch):
    with watch() as socket:
        for name in ("a", "b"):
            body = {"metadata": {"name": name}}
            assert api_server.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)[0] == 201
        events = [json.loads(socket.recv()) for _ in range(2)]
    assert [(each["type"], each["object"]["metadata"]["name"]) for each in events] == [("ADDED", "a"), ("ADDED", "b")]


def test_a_token_may_be_among_the_protocols(api_server, watch):
    token = protocol(pki.tokens(api_server.pki)[ADMIN])
    with watch(token, "base64.binary.k8s.io", token=None) as socket:
        assert socket.getsubprotocol() == "base64.binary.k8s.io"


@pytest.mark.parametrize(("token", "code"), [(protocol("nobody's"), 401), ("plain.example", 403)])
def test_a_token_that_nobody_has_is_refused_there_as_well(watch, token, code):
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        watch(token, "base64.binary.k8s.io", token=None)
    assert refused.value.status_code == code


@pytest.fixture(scope="module")
def box(cluster):
    """Open a subresource of the pod `box` by WebSocket."""
    with fresh_namespace(cluster) as name:
        make(cluster, name, pod("box", "echo hello; exec sleep 1000"))
        settings = json.loads(cluster.kubeconfig.read_text())
        url = (
            settings["clusters"][0]["cluster"]["server"].replace("https", "wss") + f"/api/v1/namespaces/{name}/pods/box"
        )
        token = settings["users"][0]["user"]["token"]
        yield lambda path, *protocols: opened(f"{url}/{path}", cluster.root / "pki" / "ca.crt", *protocols, token=token)


def encoded(channel, text):
    return channel + base64.b64encode(text.encode()).decode()


def until_closed(socket):
    return [frame for frame in iter(socket.recv, "") if frame not in (b"", b"\1", "1")]


QUERY = "&".join(["stdin=1&stdout=1", *(f"command={each}" for each in SHELL)]).replace(" ", "%20").replace(";", "%3B")

FAILED = f"command terminated with non-zero exit code: error executing command [{' '.join(SHELL)}], exit code 3"


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("protocols", "said", "heard"),
    [
        (["base64.channel.k8s.io"], encoded("0", "this\n"),
         [encoded("1", "got this\n"), encoded("3", FAILED)]),
        (["channel.k8s.io"], "\0this\n",
         [b"\1got this\n", b"\3" + FAILED.encode()]),
        ([], "\0this\n", [b"\1got this\n", b"\3" + FAILED.encode()]),
    ],
)  # fmt: skip
def test_a_command_s_channels_come_in_older_dialects(box, protocols, said, heard):
    with box(f"exec?{QUERY}", *protocols) as socket:
        socket.send(said)
        assert until_closed(socket) == heard


@pytest.mark.cluster
def test_the_fourth_version_in_base64_tells_a_status(box):
    with box(f"exec?{QUERY}", "v4.base64.channel.k8s.io") as socket:
        socket.send(encoded("0", "this\n"))
        heard = until_closed(socket)
    assert heard[0] == encoded("1", "got this\n")
    assert json.loads(base64.b64decode(heard[1][1:]))["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("protocols", "frames"),
    [([], [b"", b"hello\n"]), (["base64.binary.k8s.io"], ["", base64.b64encode(b"hello\n").decode()])],
)
def test_a_log_comes_in_frames(box, protocols, frames):
    with box("log?follow=1", *protocols) as socket:
        assert [socket.recv() for _ in range(2)] == frames
