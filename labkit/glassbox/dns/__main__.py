"""Runs the name server on one address, against any API server, and stands behind the Service kube-system/kube-dns.

Upstream: cmd/kubeadm/app/phases/addons/dns/manifests.go
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
import threading
from pathlib import Path

from labkit.glassbox import host_sockets
from labkit.glassbox.client import Client, ensure
from labkit.glassbox.dns.forwarder import Forwarder
from labkit.glassbox.dns.server import Server
from labkit.glassbox.dns.zone import Zone
from labkit.glassbox.informer import inform

PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))
NAME = {"name": "kube-dns", "namespace": "kube-system"}
LABELS = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM."""
    options = _options(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    api = Client.from_kubeconfig(options.kubeconfig, user_agent="dns")
    cache = inform(api, "services", "endpointslices", "namespaces")
    zone = Zone(options.cluster_domain, cache, dict(each.split("=") for each in options.host))
    for informer in cache.values():
        informer.start()
    if options.cluster_dns:
        threading.Thread(target=publish, args=(api, options.cluster_dns, options.address, options.port), daemon=True,
                         name="service").start()  # fmt: skip
    for informer in cache.values():
        informer.wait_for_sync()  # rather no answer than a wrong one
    asyncio.run(serve(zone, options))
    return 0


async def serve(zone: Zone, options: argparse.Namespace) -> None:
    """Answer until SIGTERM."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    forwarder = None
    if options.upstream_fd is not None:
        lines = [line.split() for line in options.resolv_conf.read_text().splitlines()]
        servers = [line[1] for line in lines if line[:1] == ["nameserver"] and ":" not in line[1]]
        forwarder = Forwarder(socket.socket(fileno=options.upstream_fd), servers)
    server = Server(zone, forwarder)
    udp, tcp = [socket.socket(fileno=fd) for fd in options.listen_fd] or [
        host_sockets.bound(protocol, options.address, options.port) for protocol in ("udp", "tcp")
    ]
    server.serve_udp(udp)
    listener = await asyncio.start_server(server.serve_tcp, sock=tcp)
    await ended.wait()
    listener.close()


def publish(api: Client, cluster_ip: str, address: str, port: int) -> None:
    """See to it that the Service is there, and that its one endpoint is this server."""
    ensure(api, "services", service(cluster_ip))
    ensure(api, "endpointslices", endpoint_slice(address, port))


def service(cluster_ip: str) -> dict:
    ports = [{"name": name, "port": 53, "protocol": protocol, "targetPort": 53} for name, protocol in PORTS]
    spec = {"clusterIP": cluster_ip, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {**NAME, "labels": LABELS}, "spec": spec}


def endpoint_slice(address: str, port: int) -> dict:
    labels = {"kubernetes.io/service-name": NAME["name"], "endpointslice.kubernetes.io/managed-by": "dns"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**NAME, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": port, "protocol": protocol} for name, protocol in PORTS],
    }


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m labkit.glassbox.dns", description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API server, and as whom")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, default=53, help="at which port")
    parser.add_argument("--listen-fd", type=int, action="append", default=[], help="open sockets instead: UDP, TCP")
    parser.add_argument("--cluster-domain", default="cluster.local", help="what all the cluster's names end with")
    parser.add_argument("--cluster-dns", default="", help="the address of the Service kube-dns to make, if any")
    parser.add_argument("--host", action="append", default=[], metavar="NAME=ADDRESS", help="a name of the outside")
    parser.add_argument("--resolv-conf", type=Path, help="names the servers for all other names")
    parser.add_argument("--upstream-fd", type=int, help="the socket to ask them from")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
