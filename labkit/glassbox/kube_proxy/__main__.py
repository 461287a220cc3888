"""Runs kube-proxy in the network namespace that it is started in, against any API server.

Upstream: cmd/kube-proxy/app/server.go
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys

from labkit.glassbox.client import Client
from labkit.glassbox.kube_proxy.nftables_proxier import NftablesProxier
from labkit.glassbox.kube_proxy.proxy import Proxier, Proxy
from labkit.glassbox.kube_proxy.rules import Node
from labkit.glassbox.nftables import binary

MODES = ("nftables", "userspace")


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM."""
    options = _options(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    api = Client.from_kubeconfig(options.kubeconfig, user_agent="kube-proxy")
    node = Node(options.hostname_override, options.node_ip, options.cluster_cidr, options.service_cluster_ip_range)
    proxy = Proxy(api, node.name, proxier(options.proxy_mode, node))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: proxy.stop())
    proxy.run()
    return 0


def proxier(mode: str, node: Node) -> Proxier:
    """Return what proxies: the kernel where nft can tell it, else a process."""
    if mode == "nftables" or (not mode and binary()):
        return NftablesProxier(node)
    from labkit.glassbox.kube_proxy.userspace_proxier import UserspaceProxier

    return UserspaceProxier(node)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m labkit.glassbox.kube_proxy", description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API server, and as whom")
    parser.add_argument("--hostname-override", required=True, help="the node's name")
    parser.add_argument("--node-ip", required=True, help="the node's address, at which node ports are served")
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16", help="the addresses of all pods")
    parser.add_argument("--service-cluster-ip-range", default="10.96.0.0/16", help="the virtual addresses")
    parser.add_argument(
        "--proxy-mode", choices=("", *MODES), default="", help="nftables where there is nft, by default"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
