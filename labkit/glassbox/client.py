"""The one API client: what a component may hold of the rest of the cluster.

Synchronous and thread-safe, over kept-alive TLS connections. Objects are dicts as in JSON; a refusal is raised as
ApiError, a connection that cannot be made as ApiError 503 with reason ServiceUnavailable, so that a queue backs off and
tries again. Nothing is retried but by `ensure`: whether a write may be repeated only its caller knows.

Upstream: staging/src/k8s.io/client-go/rest, …/tools/clientcmd
"""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_ import ALPN_PROTOCOLS

from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.resource import Resource

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5
ANSWER_SECONDS = 60
AGAIN_AFTER = 0.2  # seconds
# A connection whose other end is cut off is given up after about as long as client-go's health checks take.
TCP_OPTIONS = [
    *urllib3.connection.HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),  # milliseconds
]
PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


class Client:
    """Requests to one API server as one user."""

    def __init__(self, server: str, *, tls: ssl.SSLContext | None, token: str | None, user_agent: str):
        url = urlsplit(server)
        secure = url.scheme == "https"
        self.pool = urllib3.connection_from_url(
            server,
            maxsize=32,
            socket_options=TCP_OPTIONS,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS),
            **({"ssl_context": tls} if secure else {}),
        )
        if secure:
            self.pool.ConnectionCls = ResumingConnection
        self.prefix = url.path.rstrip("/")
        self.headers = {"Accept": "application/json", "User-Agent": user_agent}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def from_kubeconfig(cls, path: str | Path, user_agent: str, *, as_user: bool = True) -> Client:
        """Return a client for a kubeconfig's current context. Raises OSError, KeyError for one that has none.

        Without `as_user` it shows no credential of the kubeconfig's.
        """
        config = _config(Path(path).read_bytes())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"] if as_user else {}
        return cls(cluster["server"], tls=_tls(cluster, user), token=user.get("token"), user_agent=user_agent)

    # -- reading

    def get(self, resource: str, name: str, namespace: str | None = None, subresource: str = "") -> dict:
        """Return one object, or a subresource of it. Raises ApiError (404 when there is none)."""
        return self._request("GET", _path(resource, namespace, name, subresource))

    def list(
        self, resource: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> dict:
        """Return a list object: metadata.resourceVersion and items, each item with its apiVersion and kind."""
        query = _query(labelSelector=label_selector, fieldSelector=field_selector)
        found = self._request("GET", _path(resource, namespace) + query)
        kind = REGISTRY.find(resource)
        for item in found["items"]:
            item.update(apiVersion=kind.api_version, kind=kind.kind)
        return found

    def watch(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
        timeout_seconds: int | None = None,
    ) -> Watch:
        """Return the changes since a resource version, as an iterator that ends when the server ends it.

        Raises ApiError, 410 among them when that version is too old.
        """
        query = _query(
            watch="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            allowWatchBookmarks="true" if bookmarks else "",
            timeoutSeconds=timeout_seconds,
        )
        never = urllib3.Timeout(connect=CONNECT_SECONDS, read=None)
        return Watch(self._open("GET", _path(resource, namespace) + query, timeout=never, preload_content=False))

    # -- writing

    def create(self, resource: str, obj: dict) -> dict:
        """Create an object. Raises ApiError (409 when the name is taken)."""
        return self._request("POST", _path(resource, obj["metadata"].get("namespace")), obj)

    def create_subresource(self, resource: str, name: str, namespace: str | None, subresource: str, obj: dict) -> dict:
        """Post to an object's subresource: a Binding to pods/NAME/binding."""
        return self._request("POST", _path(resource, namespace, name, subresource), obj)

    def update(self, resource: str, obj: dict) -> dict:
        """Replace an object. Raises ApiError (409 when it has changed since it was read)."""
        return self._request("PUT", _path_of(resource, obj), obj)

    def update_status(self, resource: str, obj: dict) -> dict:
        """Replace an object's status."""
        return self._request("PUT", _path_of(resource, obj, "status"), obj)

    def finalize(self, namespace: dict) -> dict:
        """Replace a namespace's spec.finalizers."""
        return self._request("PUT", _path_of("namespaces", namespace, "finalize"), namespace)

    def delete_collection(self, resource: str, namespace: str) -> None:
        """Delete all objects of a kind in a namespace."""
        self._request("DELETE", _path(resource, namespace))

    def patch(
        self,
        resource: str,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        kind: str = "merge",
        subresource: str = "",
    ) -> dict:
        """Change an object by a patch of a kind: merge, strategic or json."""
        path = _path(resource, namespace, name, subresource)
        return self._request("PATCH", path, patch, content_type=PATCH_TYPES[kind])

    def delete(
        self,
        resource: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_period_seconds: int | None = None,
        propagation_policy: str | None = None,
    ) -> dict:
        """Delete an object, only if it has that uid where one is given."""
        options: dict = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        return self._request("DELETE", _path(resource, namespace, name), options)

    def remove_finalizer(self, resource: str, obj: dict, finalizer: str) -> None:
        """Take a finalizer off an object as it was read; one that is gone needs that no more. Raises ApiError 409."""
        meta = obj["metadata"]
        kept = [each for each in meta.get("finalizers") or [] if each != finalizer]
        change = {"resourceVersion": meta["resourceVersion"], "finalizers": kept or None}
        try:
            self.patch(resource, meta["name"], meta.get("namespace"), {"metadata": change})
        except ApiError as error:
            if error.code != 404:
                raise

    # -- the wire

    def _request(self, method: str, path: str, body=None, content_type: str = "application/json") -> dict:
        return orjson.loads(self._open(method, path, body, content_type).data)

    def _open(self, method: str, path: str, body=None, content_type: str = "application/json", **options):
        headers = self.headers if body is None else {**self.headers, "Content-Type": content_type}
        data = None if body is None else orjson.dumps(body)
        try:
            response = self.pool.urlopen(method, self.prefix + path, body=data, headers=headers, **options)
        except HTTPError as error:
            raise ApiError(503, "ServiceUnavailable", f"{method} {path}: {error}") from error
        if response.status >= 400:
            raise _error(response)
        return response


class Watch:
    """A stream of (type, object): ADDED, MODIFIED, DELETED, BOOKMARK. stop() ends it from any thread."""

    def __init__(self, response):
        self.response = response
        self.stopped = threading.Event()

    def __iter__(self) -> Iterator[tuple[str, dict]]:
        buffer = b""
        try:
            for chunk in self.response.stream(None):
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in filter(None, lines):
                    yield self._event(orjson.loads(line))
        except (HTTPError, OSError, ValueError, AttributeError) as error:
            if not self.stopped.is_set():
                raise ApiError(503, "ServiceUnavailable", f"the watch broke: {error}") from error
        finally:
            self.response.close()

    def _event(self, event: dict) -> tuple[str, dict]:
        if event["type"] == "ERROR":
            raise ApiError.from_status(event["object"])
        return event["type"], event["object"]

    def stop(self) -> None:
        """End the iteration, also of another thread that waits for the next event."""
        self.stopped.set()
        connection = getattr(self.response, "connection", None) or getattr(self.response, "_connection", None)
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(2)
            except OSError:
                pass  # it is closed already


def ensure(api: Client, resource: str, obj: dict, ended: threading.Event | None = None) -> None:
    """Create an object that may be there already; go on until the API server can be asked, or until `ended`."""
    ended = ended or threading.Event()
    while not ended.is_set():
        try:
            api.create(resource, obj)
            return
        except ApiError as error:
            if error.code == 409:
                return
            log.info("%s: %s", resource, error.message)
        ended.wait(AGAIN_AFTER)


def _path(resource: str, namespace: str | None, name: str | None = None, subresource: str = "") -> str:
    kind: Resource = REGISTRY.find(resource)
    return kind.path(namespace or None, name, subresource or None)


def _path_of(resource: str, obj: dict, subresource: str = "") -> str:
    return _path(resource, obj["metadata"].get("namespace"), obj["metadata"]["name"], subresource)


def _query(**parameters) -> str:
    given = {key: value for key, value in parameters.items() if value}
    return "?" + urlencode(given) if given else ""


def _error(response) -> ApiError:
    try:
        return ApiError.from_status(orjson.loads(response.data))
    except (ValueError, AttributeError):
        return ApiError(response.status, "", response.data.decode(errors="replace"))


def _config(content: bytes) -> dict:
    try:
        return orjson.loads(content)  # as ours are: the YAML parser would cost each component a megabyte
    except ValueError:
        import yaml

        return yaml.safe_load(content)


def _named(entries: list[dict], name: str) -> dict:
    return next(entry for entry in entries if entry["name"] == name)


class ResumingContext(ssl.SSLContext):
    """A client's context that goes on with the session of an earlier connection: no certificate is checked twice.

    A component opens a connection for each resource that it follows; a handshake with certificates on both sides costs
    each end a millisecond, a resumed one a fifth of that.

    Invariant: OpenSSL changes a connection's session, and reads a context's protocols, without a lock of ours. So a
    session is copied only by the thread that reads the connection, and the protocols are set once.
    """

    session: ssl.SSLSession | None = None
    protocols: list[str] | None = None

    def wrap_socket(self, sock: socket.socket, **options: Any) -> ssl.SSLSocket:  # type: ignore[override]
        """Shake hands, in short where an earlier connection's session is known."""
        return super().wrap_socket(sock, session=self.session, **options)

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Set what is spoken; urllib3 asks for the same at each connection."""
        if self.protocols is None:
            self.protocols = list(alpn_protocols)
            super().set_alpn_protocols(self.protocols)


class ResumingConnection(HTTPSConnection):
    """Keeps its session for later connections: the server sends what to go on with just before its first answer."""

    answered: Any = None

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        """Return the answer to the request that was sent."""
        connection: Any = self.sock
        response = super().getresponse()
        if connection is not self.answered and not connection.session_reused:
            self.ssl_context.session = connection.session  # type: ignore[union-attr]
        self.answered = connection
        return response


def _tls(cluster: dict, user: dict) -> ssl.SSLContext:
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(ALPN_PROTOCOLS)  # before the first connection
    if "certificate-authority" in cluster or "certificate-authority-data" in cluster:
        context.load_verify_locations(cafile=cluster.get("certificate-authority"), cadata=_inline(cluster))
    else:
        context.load_default_certs()
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    elif "client-certificate-data" in user:
        # The ssl module takes a certificate and its key from files alone.
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]) + b"\n")
            pair.flush()
            context.load_cert_chain(pair.name)
    return context


def _inline(cluster: dict) -> str | None:
    data = cluster.get("certificate-authority-data")
    return base64.b64decode(data).decode() if data else None
