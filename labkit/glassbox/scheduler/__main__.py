"""Runs the scheduler alone, against any API server.

Left out: leader election, plugins and profiles.

Upstream: cmd/kube-scheduler/app/server.go
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading

from labkit.glassbox.client import Client
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.scheduler.scheduler import NAME, Scheduler


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m labkit.glassbox.scheduler", description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API server, and as whom")
    parser.add_argument("--scheduler-name", default=NAME, help="schedule the pods that ask for this scheduler")
    parser.add_argument("--seed", type=int, help="draw lots between equal nodes from this seed")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    api = Client.from_kubeconfig(options.kubeconfig, user_agent="kube-scheduler")
    recorder = EventRecorder(api, options.scheduler_name)
    Scheduler(api, recorder, name=options.scheduler_name, seed=options.seed).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
