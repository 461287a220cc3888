"""Runs the Ingress controller where pods can be reached, against any API server.

Until there is an Ingress it follows nothing else and listens nowhere. Then it makes a Service of its own, as a
controller on a bare cluster has it: a node port leads to it, on each node and on the host's loopback.

Upstream: github.com/kubernetes/ingress-nginx, deploy/static/provider/baremetal
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import sys
import threading

from labkit.glassbox.client import Client, ensure
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import Informer, inform
from labkit.glassbox.ingress import certificates
from labkit.glassbox.ingress.controller import WATCHED, IngressController
from labkit.glassbox.ingress.proxy import Proxy
from labkit.glassbox.ingress.routes import CONTROLLER

LAST_ANSWERS = 1.0  # seconds that requests have to end in once the controller is told to stop
NAME = {"name": "ingress", "namespace": "kube-system"}


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM."""
    options = _options(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    api = Client.from_kubeconfig(options.kubeconfig, user_agent="ingress-controller")
    cache = inform(api, *WATCHED)
    seen, ended = threading.Event(), threading.Event()
    cache["ingresses"].handlers.append(lambda *_: seen.set())

    def end(*_: object) -> None:
        ended.set()
        seen.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    ensure(api, "ingressclasses", ingress_class(options.ingress_class), ended)
    cache["ingresses"].start()
    seen.wait()
    if not ended.is_set():
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(api, cache, options))
    return 0


async def serve(api: Client, cache: dict[str, Informer], options: argparse.Namespace) -> None:
    """Listen, and follow the API, until SIGTERM."""
    own = "0.0.0.0" if ipaddress.ip_address(options.address).is_loopback else options.address
    loop, ended, proxy = asyncio.get_running_loop(), asyncio.Event(), Proxy(own)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    tls = certificates.server_context()
    tls.load_cert_chain(options.default_tls_cert_file, options.default_tls_private_key_file)
    held = certificates.Certificates(tls)
    recorder, known = EventRecorder(api, "ingress-controller"), asyncio.Event()

    def take(table: list) -> None:
        proxy.table = table
        loop.call_soon_threadsafe(known.set)

    IngressController(api, cache, recorder, options.address, take, held).start()
    for resource in WATCHED[1:]:
        cache[resource].start()
    threading.Thread(target=publish, args=(api, options), name="service", daemon=True).start()
    await known.wait()  # rather no answer than a wrong one
    http, https = [socket.socket(fileno=fd) for fd in options.listen_fd] or [
        socket.create_server((options.address, port)) for port in (options.http_port, options.https_port)
    ]
    safe = await asyncio.start_server(proxy.serve, sock=https, backlog=1024, ssl=tls, ssl_handshake_timeout=10)
    listeners = [safe, await asyncio.start_server(proxy.serve, sock=http, backlog=1024)]
    await ended.wait()
    for listener in listeners:
        listener.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_ANSWERS):
            await proxy.end()


def publish(api: Client, options: argparse.Namespace) -> None:
    """Make the Service of which this controller is the one endpoint."""
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "https", "port": 443, "protocol": "TCP"}]
    served = [{**ports[0], "port": options.http_port}, {**ports[1], "port": options.https_port}]
    labels = {"kubernetes.io/service-name": NAME["name"], "endpointslice.kubernetes.io/managed-by": "ingress"}
    ensure(api, "services", {"metadata": NAME, "spec": {"type": "NodePort", "ports": ports}})
    endpoint = {"addresses": [options.address], "conditions": {"ready": True}}
    slice_ = {"metadata": {**NAME, "labels": labels}, "addressType": "IPv4", "endpoints": [endpoint], "ports": served}
    ensure(api, "endpointslices", slice_)


def ingress_class(name: str) -> dict:
    """Return the class of Ingresses that name none."""
    default = {"ingressclass.kubernetes.io/is-default-class": "true"}
    return {"metadata": {"name": name, "annotations": default}, "spec": {"controller": CONTROLLER}}


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m labkit.glassbox.ingress", description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API server, and as whom")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen, and what each Ingress is told")
    parser.add_argument("--http-port", type=int, default=80, help="at which port")
    parser.add_argument("--https-port", type=int, default=443, help="at which port with TLS")
    parser.add_argument("--listen-fd", type=int, action="append", default=[], help="open sockets instead: HTTP, HTTPS")
    parser.add_argument("--default-tls-cert-file", required=True, help="for hosts that have no secret")
    parser.add_argument("--default-tls-private-key-file", required=True, help="its key")
    parser.add_argument("--ingress-class", default="glassbox", help="the name of the default class to make")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
