"""Runs the agent in the network namespace that it is started in, against any API server.

In the embedded cluster it shares a process with its node's kube-proxy (node_network.py).

Upstream: sigs.k8s.io/kube-network-policies/cmd
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys

from labkit.glassbox.client import Client
from labkit.glassbox.network_policy.agent import NetworkPolicyAgent, pod_elsewhere


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM."""
    options = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    own = agent(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: own.stop())
    own.run()
    return 0


def agent(options: argparse.Namespace) -> NetworkPolicyAgent:
    """Return the agent that the options speak of."""
    api = Client.from_kubeconfig(options.kubeconfig, user_agent="network-policy")
    given = (("k8s-app", "kube-dns", options.cluster_dns_endpoint),
             ("app.kubernetes.io/name", "ingress", options.cluster_ingress_endpoint))  # fmt: skip
    pods = [pod_elsewhere(*each) for each in given if each[-1]]
    return NetworkPolicyAgent(api, options.hostname_override, options.pod_cidr, pods)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m labkit.glassbox.network_policy", description=__doc__)
    found.add_argument("--kubeconfig", required=True, help="how to reach the API server, and as whom")
    found.add_argument("--hostname-override", required=True, help="the node's name")
    found.add_argument("--pod-cidr", required=True, help="the addresses of this node's pods")
    found.add_argument("--cluster-dns-endpoint", default="", help="where DNS answers, if no pod does")
    found.add_argument("--cluster-ingress-endpoint", default="", help="whence Ingresses' requests come, if of no pod")
    return found


if __name__ == "__main__":
    sys.exit(main())
