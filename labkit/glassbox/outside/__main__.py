"""Runs the outside: in the machine's own network, with sockets that were opened elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
from functools import partial
from pathlib import Path

from labkit.glassbox import host_sockets
from labkit.glassbox.client import Client
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import inform
from labkit.glassbox.outside import web
from labkit.glassbox.outside.host_ports import HostPorts


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM."""
    options = _options(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    asyncio.run(run(options))
    return 0


async def run(options: argparse.Namespace) -> None:
    """Serve until SIGTERM."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    api = Client.from_kubeconfig(options.kubeconfig, user_agent="outside")
    cache = inform(api, "services", "nodes", "endpointslices")
    listen = partial(host_sockets.ask, socket.socket(fileno=options.host_fd))
    ports = HostPorts(cache, EventRecorder(api, "outside"), listen, options.report)
    for informer in cache.values():
        informer.start()
    following = asyncio.create_task(ports.run())
    following.add_done_callback(lambda _: ended.set())
    async with await asyncio.start_server(web.serve, sock=socket.socket(fileno=options.web_fd)):
        await ended.wait()
    if following.done():
        following.result()  # it never ends but by an error


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m labkit.glassbox.outside", description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API server, and as whom")
    parser.add_argument("--web-fd", type=int, required=True, help="where the host outside listens")
    parser.add_argument("--host-fd", type=int, required=True, help="where to ask for sockets of the host")
    parser.add_argument("--report", type=Path, required=True, help="the file that says what listens on the host")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
