"""Waiting until a cluster is ready, on the API as any client would: /readyz, then a watch on the nodes, then one on the
service account that pods of the default namespace run as: until it is there, they are refused.

The API's socket is open before the API server lives, so that the first request simply waits for its answer. Nothing
but the standard library: this runs in `labkit up`, whose own start counts.

Upstream: kubectl wait --for=condition=Ready nodes --all
"""

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from labkit.glassbox import pki
from labkit.glassbox.cluster import ADMIN, Layout

HOST = "127.0.0.1"
Step = Callable[[http.client.HTTPSConnection, dict[str, str]], None]
RETRY = 0.05  # seconds between attempts while the API server cannot answer


class NotReady(Exception):
    """What is still missing after the time that was given, or that the machine has ended."""


class Ending(threading.Event):
    """Set when the machine has ended; it wakes whoever waits for an answer that will not come."""

    connection: http.client.HTTPSConnection | None = None

    def set(self) -> None:
        super().set()
        connection = self.connection
        if connection and connection.sock:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already


def wait(
    files: Layout, nodes: int, port: int, ended: Ending, within: float, progress: Callable[[str, str], None]
) -> None:
    """Return when the API server and all nodes are ready; raises NotReady."""
    deadline = time.monotonic() + within
    context = ssl.create_default_context(cafile=str(files.pki / "ca.crt"))
    headers = _headers(files)
    names = ", ".join(f"node{i + 1}" for i in range(nodes)) if nodes < 6 else f"{nodes} nodes"
    steps: list[tuple[str, Step, str]] = [
        ("the API server does not answer", _readyz, "the API server answers"),
        (f"not all of {nodes} nodes are Ready", partial(_watch_nodes, count=nodes), f"{names} Ready"),
        ("namespace default has no service account", _watch_service_account, ""),
    ]
    missing = steps[0][0]
    while steps and not ended.is_set() and time.monotonic() < deadline:
        missing, step, done = steps[0]
        try:
            with _connection(port, context, deadline, ended) as connection:
                step(connection, headers)
        except (OSError, http.client.HTTPException, NotReady) as error:
            missing = str(error) if isinstance(error, NotReady) else missing
            ended.wait(RETRY)
        else:
            del steps[0]
            if done:
                progress("done", done)
    if steps:
        raise NotReady("it has ended" if ended.is_set() else f"after {within:.0f} s {missing}")


def nodes(files: Layout, port: int, within: float = 2.0) -> dict[str, str]:
    """Return each node's state as kubectl words it; {"": why} when the API does not say."""
    context = ssl.create_default_context(cafile=str(files.pki / "ca.crt"))
    try:
        with _connection(port, context, time.monotonic() + within, Ending()) as connection:
            connection.request("GET", "/api/v1/nodes", headers=_headers(files))
            items = json.loads(connection.getresponse().read())["items"]
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return {"": f"the API server does not answer ({error})"}
    return {node["metadata"]["name"]: "Ready" if is_ready(node) else "NotReady" for node in items}


def _headers(files: Layout) -> dict[str, str]:
    return {"Authorization": f"Bearer {pki.tokens(files.pki)[ADMIN]}", "User-Agent": "labkit"}


@contextmanager
def _connection(
    port: int, context: ssl.SSLContext, deadline: float, ended: Ending
) -> Iterator[http.client.HTTPSConnection]:
    timeout = max(0.1, deadline - time.monotonic())
    connection = http.client.HTTPSConnection(HOST, port, context=context, timeout=timeout)
    raw = socket.create_connection((HOST, port), timeout)
    connection.sock = raw  # so that the machine's end wakes the handshake, too
    ended.connection = connection
    try:
        connection.sock = context.wrap_socket(raw, server_hostname=HOST)
        yield connection
    finally:
        ended.connection = None
        connection.close()
        raw.close()


def _readyz(connection: http.client.HTTPSConnection, headers: dict[str, str]) -> None:
    connection.request("GET", "/readyz", headers=headers)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise NotReady(f"the API server is not ready: {body.decode(errors='replace')[:200]}")


def _watch_nodes(connection: http.client.HTTPSConnection, headers: dict[str, str], count: int) -> None:
    """Follow the nodes until `count` of them are Ready."""
    ready: set[str] = set()
    for kind, node in _events(connection, headers, "nodes"):
        if kind in ("ADDED", "MODIFIED") and is_ready(node):
            ready.add(node["metadata"]["name"])
        else:
            ready.discard(node.get("metadata", {}).get("name", ""))
        if len(ready) >= count:
            return
    raise NotReady(f"not all of {count} nodes are Ready")


def _watch_service_account(connection: http.client.HTTPSConnection, headers: dict[str, str]) -> None:
    """Follow the default namespace's service accounts until the one named default is there."""
    for kind, account in _events(connection, headers, "namespaces/default/serviceaccounts"):
        if kind == "ADDED" and account["metadata"]["name"] == "default":
            return
    raise NotReady("namespace default has no service account")


def _events(
    connection: http.client.HTTPSConnection, headers: dict[str, str], collection: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a watch tells: type and object; the connection serves nothing else afterwards."""
    connection.request("GET", f"/api/v1/{collection}?watch=true", headers=headers)
    response = connection.getresponse()
    if response.status != 200:
        raise NotReady(
            f"the API server refuses a watch on {collection}: {response.read().decode(errors='replace')[:200]}"
        )
    while line := response.readline():
        event = json.loads(line)
        yield event["type"], event["object"]


def is_ready(node: dict[str, Any]) -> bool:
    """Tell whether a node's kubelet says that it can run pods."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
