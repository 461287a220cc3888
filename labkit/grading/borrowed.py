"""A cluster that somebody else runs, for a hand-in that needs one: a namespace of its own, gone afterwards.

The worker leaves the host's network all the same. What stays in it, the batch, has a gate: a worker hands it a socket
that listens on the new network's loopback, and the gate carries what comes there to the API server. So the hand-in and
the judge reach that server, over TLS end to end and each with credentials of its own, and nothing else.
"""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from labkit.api import Api, Object
from labkit.cluster import private_config, write_private
from labkit.errors import ApiFailure, ClusterError, WaitTimeout
from labkit.glassbox import relay
from labkit.grading import access
from labkit.providers.kubeconfig import KubeconfigProvider
from labkit.wait import Waiter

GONE_SECONDS = 120.0
PLUGINS = ("exec", "auth-provider")


def find(name: str) -> Object:
    """Return the kubeconfig of a context or a file, whole in itself; raises ClusterError when it is not to be used."""
    file, context = KubeconfigProvider().kubeconfig(name)
    config = private_config(yaml.safe_load(file.read_text()), file.parent, context, "default")
    user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
    if found := [each for each in PLUGINS if each in user] + ["proxy-url"] * ("proxy-url" in cluster):
        raise ClusterError(
            f"{file} cannot be used for grading: {found[0]} needs more of the network than the API server",
            next_step="make one with a certificate or a token: kubectl create token",
        )
    api = Api(file, context)
    asked = {"spec": {"resourceAttributes": {"resource": "namespaces", "verb": "create"}}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", **asked}
    told = api.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
    if not told["status"]["allowed"]:
        raise ClusterError(f"you may not make namespaces on {api.server}", next_step="ask its owner for the right")
    return config


class Gate:
    """Leads workers out of their networks to one server, given by its URL; a context manager."""

    def __init__(self, server: str) -> None:
        url = urlsplit(server)
        self.front = _Server(url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
        self._folder = tempfile.TemporaryDirectory(prefix="lk-gate-")
        self.path = Path(self._folder.name) / "gate"

    def __enter__(self) -> "Gate":
        self._asked = socket.socket(socket.AF_UNIX)
        self._asked.bind(str(self.path))
        self._asked.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                worker, _ = self._asked.accept()
                threading.Thread(target=asyncio.run, args=[self._carry(worker)], daemon=True).start()

    async def _carry(self, worker: socket.socket) -> None:
        """Carry what comes to the socket that the worker hands over, until it ends."""
        _, fds, *_ = socket.recv_fds(worker, 1, 1)
        worker.setblocking(False)
        with worker:
            server = await asyncio.start_server(
                lambda reader, writer: relay.forward(self.front, reader, writer), sock=socket.socket(fileno=fds[0])
            )
            await asyncio.get_running_loop().sock_recv(worker, 1)
            server.close()


def through(gate: Path, config: Object) -> tuple[socket.socket, Object]:
    """Open a way on the loopback of this process's network; return what keeps it open, and the kubeconfig for it."""
    asking = socket.socket(socket.AF_UNIX)
    asking.connect(str(gate))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        socket.send_fds(asking, [b"."], [listening.fileno()])
        port = listening.getsockname()[1]
    (named,) = config["clusters"]
    cluster = dict(named["cluster"])
    url = urlsplit(cluster["server"])
    if url.scheme == "https" and not cluster.get("insecure-skip-tls-verify"):
        cluster.setdefault("tls-server-name", url.hostname)
    cluster["server"] = url._replace(netloc=f"127.0.0.1:{port}").geturl()
    return asking, {**config, "clusters": [{"name": named["name"], "cluster": cluster}]}


@dataclass
class _Server:
    """Where all connections go."""

    address: str
    port: int

    @property
    def endpoints(self) -> list["_Server"]:
        return [self]

    def choose(self, client: str) -> list["_Server"]:
        return [self]

    def remember(self, client: str, endpoint: object) -> None:
        """There is but one."""


@contextmanager
def entered(order: dict[str, Any], home: Path) -> Iterator[Path]:
    """Give the owner's kubeconfig for an order; its namespaces are gone before and after."""
    way, config = through(Path(order["gate"]), order["owner"])
    with way:
        file = write_private(home / "owner.kubeconfig", config)
        api, namespaces = Api(file), [order["namespace"], *order["others"]]
        clear(api, namespaces)
        try:
            yield file
        finally:
            try:
                clear(api, namespaces)
            except ClusterError as stays:
                order["facts"]["flags"].append(str(stays).replace("\n", " "))


def clear(api: Api, namespaces: list[str]) -> None:
    """Remove the namespaces and what was made for them beside; raises ClusterError when one does not go."""
    for name in namespaces:
        api.delete("namespaces", name)
        with suppress(ApiFailure):  # already on its way
            api.delete("pods", "", name, grace=1)
    for resource in ("clusterrolebindings", "clusterroles"):
        api.delete(resource, access.looker(namespaces[0]))
    try:
        for name in namespaces:
            Waiter(api, name).gone("namespaces", name, timeout=GONE_SECONDS)
    except WaitTimeout as late:
        raise ClusterError(f"the namespace {name} does not go", value=late.value) from None
