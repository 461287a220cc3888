"""Asks a container how it is: over HTTP, TCP, gRPC, or by a command inside it.

Each function waits at most its timeout (seconds) and says success, warning or failure with a text in upstream's words,
which become an event. They run in the node's network namespace, as the kubelet does. Certificates are not verified.

Upstream: pkg/probe/http, pkg/probe/tcp, pkg/probe/exec, pkg/probe/grpc
"""

import http.client
import os
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from labkit.glassbox.kubelet.runtime import Container, LinuxRuntime
from labkit.glassbox.kubelet.shim import ExecTimeout

SUCCESS, WARNING, FAILURE = "success", "warning", "failure"
USER_AGENT = "kube-probe/1.36"
MAX_OUTPUT = 10 * 1024  # bytes of an answer that are looked at
MAX_REDIRECTS = 10


@dataclass(frozen=True)
class Outcome:
    """What came of asking once."""

    result: str
    text: str = ""


def ask(runtime: LinuxRuntime, uid: str, spec: dict, instance: Container, address: str, probe: dict) -> Outcome:
    """Carry out a probe of a container (`spec` in the pod, `instance` as it runs).

    Raises what keeps the question from being put, and so says nothing of the container: ExecError, ValueError.
    """
    timeout = float(probe.get("timeoutSeconds") or 1)
    if asked := probe.get("exec"):
        return execute(runtime, uid, instance, asked.get("command") or [], timeout)
    if asked := probe.get("httpGet"):
        return get(url(asked, address, spec), asked.get("httpHeaders") or [], timeout)
    if asked := probe.get("tcpSocket"):
        return connect(asked.get("host") or address, port_of(asked, spec), timeout)
    if asked := probe.get("grpc"):
        from labkit.glassbox.kubelet import grpc_health  # few pods need it

        return Outcome(*grpc_health.check(address, port_of(asked, spec), asked.get("service") or "", timeout))
    raise ValueError("missing probe handler")


def port_of(asked: dict, spec: dict) -> int:
    """Return the number of a port that is given by number or by a container's port's name; raises ValueError."""
    port = asked["port"]
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    for each in spec.get("ports") or []:
        if each.get("name") == port:
            return each["containerPort"]
    raise ValueError(f"couldn't find port: {port}")


def url(asked: dict, address: str, spec: dict) -> str:
    """Return where an httpGet action leads."""
    scheme, path = (asked.get("scheme") or "HTTP").lower(), asked.get("path") or "/"
    return f"{scheme}://{asked.get('host') or address}:{port_of(asked, spec)}/{path.removeprefix('/')}"


def execute(runtime: LinuxRuntime, uid: str, instance: Container, command: Sequence[str], timeout: float) -> Outcome:
    """Run a command in the container: its exit code decides. Raises ExecError when it cannot be run."""
    try:
        done = runtime.exec(uid, instance.name, instance.attempt, command, timeout=timeout)
    except ExecTimeout as error:
        return Outcome(FAILURE, str(error))
    return Outcome(FAILURE if done.exit_code else SUCCESS, done.output[:MAX_OUTPUT].decode(errors="replace"))


def connect(host: str, port: int, timeout: float) -> Outcome:
    """Open a connection: that is enough."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        return Outcome(FAILURE, _dial(host, port, error))
    return Outcome(SUCCESS)


def get(target: str, headers: Sequence[dict], timeout: float) -> Outcome:
    """GET a URL: 200 to 399 is well; redirects are followed on the same host, and end well on another."""
    host, deadline = urlsplit(target).hostname, time.monotonic() + timeout
    for _ in range(MAX_REDIRECTS + 1):
        try:
            status, location, body = _request(urlsplit(target), headers, deadline)
        except (OSError, http.client.HTTPException) as error:
            return Outcome(FAILURE, f'Get "{target}": {_http_error(urlsplit(target), error)}')
        if location and 300 <= status < 400:
            target = urljoin(target, location)
            if urlsplit(target).hostname != host:
                return Outcome(WARNING, f"Probe terminated redirects, Response body: {body}")
        elif 200 <= status < 400:
            return Outcome(SUCCESS, body)
        else:
            return Outcome(FAILURE, f"HTTP probe failed with statuscode: {status}")
    return Outcome(FAILURE, f'Get "{target}": stopped after {MAX_REDIRECTS} redirects')


def _request(target: SplitResult, headers: Sequence[dict], deadline: float) -> tuple[int, str, str]:
    left = max(deadline - time.monotonic(), 0.001)
    if target.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            target.hostname or "", target.port, timeout=left, context=context
        )
    else:
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=left)
    sent = {"host": target.netloc, "user-agent": USER_AGENT, "accept": "*/*", "connection": "close"}
    sent |= {each["name"].lower(): each.get("value", "") for each in headers}
    try:
        path = f"{target.path}?{target.query}" if target.query else target.path
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value:
                connection.putheader(name.title(), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location") or "", answer.read(MAX_OUTPUT).decode(errors="replace")
    finally:
        connection.close()


def _http_error(target: SplitResult, error: Exception) -> str:
    """Say why there was no answer, as Go's client does."""
    if isinstance(error, TimeoutError):
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    if isinstance(error, http.client.RemoteDisconnected):
        return "EOF"
    if isinstance(error, http.client.BadStatusLine):
        return f"net/http: HTTP/1.x transport connection broken: malformed HTTP response {str(error)}"
    if isinstance(error, ssl.SSLError):
        plain = error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
        return "http: server gave HTTP response to HTTPS client" if plain else f"tls: {error.reason}"
    if isinstance(error, OSError):
        return _dial(target.hostname or "", target.port or 80, error)
    return str(error)


def _dial(host: str, port: int, error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"dial tcp {host}:{port}: i/o timeout"
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {host}: no such host"
    words = os.strerror(error.errno).lower() if error.errno else str(error)
    if isinstance(error, ConnectionResetError):
        return f"read tcp {host}:{port}: read: {words}"
    return f"dial tcp {host}:{port}: connect: {words}"
