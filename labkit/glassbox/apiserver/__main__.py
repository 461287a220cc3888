"""Run the API server: `python -m labkit.glassbox.apiserver --data-dir D --tls-cert-file …`.

The flags are kube-apiserver's where it has them. `--data-dir` holds the store; `--listen-fd` takes a listening socket
from the parent, which may have been opened in another network namespace.

Upstream: cmd/kube-apiserver/app/server.go
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from labkit.glassbox.apiserver import auth, housekeeping, upkeep
from labkit.glassbox.apiserver.authorization import Authorizer, bootstrap
from labkit.glassbox.apiserver.custom_resources import CustomResources
from labkit.glassbox.apiserver.encryption import UNENCRYPTED
from labkit.glassbox.apiserver.encryption_config import ConfigurationError, Watched
from labkit.glassbox.apiserver.request import Api, KubeletAccess
from labkit.glassbox.apiserver.server import Connections, Server, request_of, tls_context
from labkit.glassbox.apiserver.token_authenticator import TokenAuthenticator
from labkit.glassbox.apiserver.usage import LastUse
from labkit.glassbox.clock import SystemClock
from labkit.glassbox.store import Store
from labkit.glassbox.tokens import SigningKey

log = logging.getLogger("apiserver")

# A client that hangs up ends its watch at once; idle connections are kept, as Go's server does.
HTTP: dict[str, Any] = {
    "request_factory": request_of,
    "handler_cancellation": True,
    "access_log": None,
    "keepalive_timeout": 600.0,
    "max_line_size": 64 * 1024,  # a command for pods/exec is part of the URL
}
GRACE_SECONDS = 2.0  # what open requests are given when the server stops


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="apiserver", description="Serve the Kubernetes API from one SQLite file.")
    parser.add_argument("--data-dir", type=Path, required=True, help="directory of store.db")
    parser.add_argument("--listen-fd", type=int, action="append", default=[], help="an inherited listening socket")
    parser.add_argument("--bind-address", default="127.0.0.1")
    parser.add_argument("--advertise-address", default="", help="at which pods reach this server")
    parser.add_argument("--secure-port", type=int, default=6443)
    parser.add_argument("--tls-cert-file", required=True)
    parser.add_argument("--tls-private-key-file", required=True)
    parser.add_argument("--client-ca-file")
    parser.add_argument("--token-auth-file", type=Path)
    parser.add_argument("--encryption-provider-config", type=Path, help="an EncryptionConfiguration; may come later")
    parser.add_argument("--service-account-signing-key-file", type=Path, required=True)
    parser.add_argument("--kubelet-certificate-authority", type=Path)
    parser.add_argument("--kubelet-client-certificate", type=Path)
    parser.add_argument("--kubelet-client-key", type=Path)
    parser.add_argument("--service-cluster-ip-range", default="10.96.0.0/16")
    return parser.parse_args(argv)


def sockets_of(options: argparse.Namespace) -> list[socket.socket]:
    """Return the sockets to listen on."""
    if options.listen_fd:
        return [socket.socket(fileno=number) for number in options.listen_fd]
    return [socket.create_server((options.bind_address, options.secure_port), backlog=1024)]


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    kubelets = KubeletAccess(
        options.kubelet_client_certificate, options.kubelet_client_key, options.kubelet_certificate_authority
    )
    encryption = Watched(options.encryption_provider_config)
    clock = SystemClock()
    store = Store(options.data_dir / "store.db", clock, encryption.read() or UNENCRYPTED)
    key = SigningKey(options.service_account_signing_key_file)
    tokens = TokenAuthenticator(auth.TokenFile(options.token_auth_file), key, store, clock)
    api = Api(
        store, clock, tokens, Authorizer(store), kubelets, options.service_cluster_ip_range, options.advertise_address
    )
    bootstrap.reconcile(store, clock)
    housekeeping.first_objects(api, Path(options.client_ca_file).read_text() if options.client_ca_file else "")
    custom = CustomResources(api)
    server = Server(api, LastUse(options.data_dir, api.clock))
    runner = web.ServerRunner(Connections(server, **HTTP))
    await runner.setup()
    context = tls_context(options.tls_cert_file, options.tls_private_key_file, options.client_ca_file)
    for listening in sockets_of(options):
        await web.SockSite(runner, listening, ssl_context=context, shutdown_timeout=GRACE_SECONDS, backlog=1024).start()
        log.info("serving on %s:%s", *listening.getsockname()[:2])
    gc.freeze()  # what was imported will not become garbage
    custom.settle_all()
    work = (housekeeping.keep_house(api), upkeep.keep_up(api), encryption.follow(store))
    chores = [asyncio.create_task(each) for each in work]
    await _told_to_stop()
    log.info("stopping")
    for chore in chores:
        chore.cancel()
    server.stopping.set()
    await runner.cleanup()
    store.close()


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def main(argv: list[str] | None = None) -> int:
    """Run the API server; returns its exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    options = parse_arguments(argv)
    options.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(options))
    except (OSError, ConfigurationError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
