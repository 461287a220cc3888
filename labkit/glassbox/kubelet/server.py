"""The kubelet's HTTPS server: container logs, streams to and from containers, the pods of this node, what they use.

Runs in a thread with an event loop of its own. Only the API server talks to it, with a client certificate; kubectl
logs goes through the API server. A log that is followed costs nothing while nothing is written: pause tells when.

The certificate's holder must be of system:masters (no
SubjectAccessReview).

Upstream: pkg/kubelet/server/server.go, pkg/kubelet/kubelet_pods.go (GetKubeletContainerLogs)
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from labkit.glassbox import clock, objects
from labkit.glassbox.clock import Clock
from labkit.glassbox.kubelet import pods
from labkit.glassbox.kubelet.logs import LogOptions, LogReader
from labkit.glassbox.kubelet.port_forward import PortForward
from labkit.glassbox.kubelet.runtime import Container, LinuxRuntime, Sandbox
from labkit.glassbox.kubelet.stats import Stats
from labkit.glassbox.kubelet.streams import NotRunning, Streams
from labkit.glassbox.kubelet.surroundings import log_directory

MAX_LINE = 64 * 1024  # bytes of a request's first line, of which a command is part
MASTERS = "system:masters"


@dataclass(frozen=True)
class ServerOptions:
    """Where to listen and whom to trust."""

    address: str
    port: int
    certificate: Path
    key: Path
    client_ca: Path


class LogError(Exception):
    """A log that cannot be shown; the text is upstream's."""


class Server:
    """Serves until `close`."""

    def __init__(self, options: ServerOptions, get_pods: Callable[[], Iterable[dict]], runtime: LinuxRuntime,
                 stats: Stats, time: Clock, root_dir: Path) -> None:  # fmt: skip
        self.root_dir = root_dir
        self.options, self.get_pods, self.runtime, self.stats, self.clock = options, get_pods, runtime, stats, time
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server", daemon=True)

    def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2)

    async def _listen(self) -> None:
        app = web.Application(middlewares=[only_masters])
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/pods", self.pods)
        app.router.add_get("/runningpods/", self.running_pods)
        app.router.add_get("/stats/summary", self.summary)
        app.router.add_get("/metrics/resource", self.resource_metrics)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self.container_logs)
        streams = Streams(self._running, self.runtime)
        app.router.add_get("/exec/{namespace}/{pod}/{container}", streams.exec)
        app.router.add_get("/attach/{namespace}/{pod}/{container}", streams.attach)
        app.router.add_get("/portForward/{namespace}/{pod}", PortForward(self._sandbox).serve)
        options: dict[str, Any] = {"access_log": None, "handle_signals": False, "handler_cancellation": True}
        runner = web.AppRunner(app, **options, max_line_size=MAX_LINE)
        await runner.setup()
        await web.TCPSite(runner, self.options.address, self.options.port, ssl_context=tls(self.options)).start()

    async def healthz(self, request: web.Request) -> web.Response:
        """Answer that the kubelet lives."""
        return web.Response(text="ok")

    async def pods(self, request: web.Request) -> web.Response:
        """Return the pods bound to this node."""
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [*self.get_pods()]})

    async def running_pods(self, request: web.Request) -> web.Response:
        """Return the pods of which the runtime runs something, as far as it knows them."""
        found = [self.runtime.inspect(uid).sandbox for uid in self.runtime.list()]
        items = [
            {"metadata": {"name": each.name, "namespace": each.namespace, "uid": each.uid}}
            for each in found
            if each and each.ready
        ]
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def summary(self, request: web.Request) -> web.Response:
        """Return what this node and its pods use."""
        return web.json_response(await self._loop.run_in_executor(None, self.stats.summary))

    async def resource_metrics(self, request: web.Request) -> web.Response:
        """Return the same for Prometheus."""
        text = await self._loop.run_in_executor(None, self.stats.resource_metrics)
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def container_logs(self, request: web.Request) -> web.StreamResponse:
        """Stream a container's log."""
        where = request.match_info
        pod = self._find(where["namespace"], where["pod"])
        if pod is None:
            return web.Response(status=404, text=f'pod "{where["namespace"]}/{where["pod"]}" not found\n')
        try:
            options = log_options(request.query, self.clock.now())
            uid = objects.uid(pod)
            found = remembered(pod, log_directory(self.root_dir, uid)) | self.runtime.inspect(uid).containers
            attempt = choose(pod, where["container"], found, options)
            reader = LogReader(Path(attempt.log), options)
        except (LogError, ValueError) as error:
            return web.Response(status=400, text=str(error))
        except FileNotFoundError:
            return web.Response(text=f"unable to retrieve container logs for glassbox://{attempt.id}")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        try:
            await self._stream(response, reader, uid, attempt)
        except ConnectionError:
            pass  # whoever followed has gone
        finally:
            reader.close()
        return response

    async def _stream(self, response: web.StreamResponse, reader: LogReader, uid: str, attempt: Container) -> None:
        notices = self._follow(uid, attempt) if reader.options.follow else None  # before the first look at the file
        try:
            while True:
                for text in reader.read():
                    await response.write(text)
                if notices is None or reader.exhausted:
                    return
                if not await self._loop.sock_recv(notices, 65536):
                    notices.close()
                    notices = None  # the container ended: one last look
        finally:
            if notices:
                notices.close()

    def _follow(self, uid: str, attempt: Container) -> socket.socket | None:
        try:
            notices = self.runtime.follow(uid, attempt.name, attempt.attempt)
        except OSError:
            return None  # the sandbox is gone, the log complete
        notices.setblocking(False)
        return notices

    def _running(self, namespace: str, name: str, container: str) -> tuple[str, Container]:
        """Return a pod's uid and what runs as its container. Raises NotRunning."""
        uid = self._uid(namespace, name)
        running = self.runtime.inspect(uid).latest(container)
        if running is None or not running.running:
            raise NotRunning(f'container not found ("{container}")')
        return uid, running

    def _sandbox(self, namespace: str, name: str) -> Sandbox:
        found = self.runtime.inspect(self._uid(namespace, name)).sandbox
        if found is None or not found.ready:
            raise NotRunning(f'not found ("{name}_{namespace}")')
        return found

    def _uid(self, namespace: str, name: str) -> str:
        pod = self._find(namespace, name)
        if pod is None:
            raise NotRunning("pod does not exist")
        return objects.uid(pod)

    def _find(self, namespace: str, name: str) -> dict | None:
        found = (pod for pod in self.get_pods() if objects.namespace(pod) == namespace and objects.name(pod) == name)
        return next(found, None)


def tls(options: ServerOptions) -> ssl.SSLContext:
    """Return the server's TLS: its own certificate, and one of the client's demanded."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(options.client_ca))
    context.load_cert_chain(options.certificate, options.key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@web.middleware
async def only_masters(request: web.Request, handler: Callable) -> web.StreamResponse:
    """Let in holders of a certificate of the group system:masters."""
    certificate = (request.transport and request.transport.get_extra_info("peercert")) or {}
    subject = [pair for rdn in certificate.get("subject", ()) for pair in rdn]
    if ("organizationName", MASTERS) not in subject:
        return web.Response(status=403, text="Forbidden")
    return await handler(request)


def log_options(query: Mapping[str, str], now: float) -> LogOptions:
    """Read the query of a request for logs; raises ValueError."""
    since = clock.parse(query["sinceTime"]) if query.get("sinceTime") else None
    if query.get("sinceSeconds"):
        since = now - int(query["sinceSeconds"])
    return LogOptions(
        **{name: query.get(name, "") in ("true", "1") for name in ("follow", "previous", "timestamps")},
        tail=int(query["tailLines"]) if query.get("tailLines") else None,
        since=since,
        limit=int(query["limitBytes"]) if query.get("limitBytes") else None,
    )


def choose(pod: dict, name: str, found: dict[str, tuple[Container, ...]], options: LogOptions) -> Container:
    """Return the attempt whose log is meant; raises LogError."""
    if name not in [each["name"] for each in pods.every_container(pod)]:
        raise LogError(f"container {name} is not valid for pod {objects.name(pod)}")
    attempts = [each for each in found.get(name, ()) if each.started_at]  # one that is only planned has no log yet
    waiting = _waiting_reason(pod, name)
    if options.previous:
        backing_off = waiting and attempts and not attempts[-1].running
        earlier = attempts if backing_off else attempts[:-1]
        if not earlier:
            raise LogError(f'previous terminated container "{name}" in pod "{objects.name(pod)}" not found')
        return earlier[-1]
    if not attempts:
        reason = waiting or "ContainerCreating"
        raise LogError(f'container "{name}" in pod "{objects.name(pod)}" is waiting to start: {reason}')
    return attempts[-1]


def remembered(pod: dict, logs: Path) -> dict[str, tuple[Container, ...]]:
    """Return what has ended, as the pod's status tells: a runtime that has begun anew knows of it no more."""
    found: dict[str, tuple[Container, ...]] = {}
    for status in (each for kind in pods.STATUSES for each in (pod.get("status") or {}).get(kind) or []):
        if ended := (status.get("state") or {}).get("terminated"):
            name, number = status["name"], status.get("restartCount", 0)
            known = (ended.get("containerID", "").rpartition("/")[2], status["image"], status["imageID"])
            log, began = (
                str(logs / name / f"{number}.log"),
                clock.parse(ended["startedAt"]) if ended.get("startedAt") else 0.0,
            )
            found[name] = (Container(name, number, *known, log, started_at=began, exit_code=ended["exitCode"]),)
    return found


def _waiting_reason(pod: dict, name: str) -> str:
    status = pod.get("status") or {}
    for each in (each for kind in pods.STATUSES for each in status.get(kind) or []):
        if each["name"] == name:
            return ((each.get("state") or {}).get("waiting") or {}).get("reason", "")
    return ""
