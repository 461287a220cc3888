"""Runs what one node's network needs, kube-proxy and the network policy agent, in one process.

They know nothing of each other and each also runs alone; but a process more a node would cost 15 MiB for something that
mostly waits.

Upstream: github.com/cloudnativelabs/kube-router, which does both in one
"""

from __future__ import annotations

import threading

from labkit.glassbox.kube_proxy import __main__ as kube_proxy
from labkit.glassbox.network_policy import __main__ as network_policy


def main(argv: list[str]) -> int:
    """Run until SIGTERM; takes the flags of both."""
    options, rest = network_policy.parser().parse_known_args(argv)
    agent = network_policy.agent(options)
    threading.Thread(target=agent.run, name="network-policy", daemon=True).start()
    shared = [f"--kubeconfig={options.kubeconfig}", f"--hostname-override={options.hostname_override}"]
    return kube_proxy.main([*shared, *rest])
