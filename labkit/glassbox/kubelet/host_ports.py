"""Ports of the node that lead to a pod of its own: what `hostPort` asks for.

    a packet to the node's own address → map host-ports → the pod's chain → dnat

Nothing is kept but the sandboxes: each change makes the table of those that are there. Read it on a node with
`nft list table ip cni_hostport`. Invariants: the client's address stays, but for a pod that calls itself. Left out: the
node's own loopback (127.0.0.1 leads nowhere).

Upstream: github.com/containernetworking/plugins plugins/meta/portmap
"""

import threading
from collections.abc import Callable, Iterable

from labkit.glassbox.nftables import Base, Ruleset, Table
from labkit.glassbox.pod_requests import EVERY_ADDRESS

TABLE = "ip cni_hostport"
MARK = "0x2000"  # on a pod's packets to itself, whose way back would not pass here
BASE = Base(
    (
        f"add map {TABLE} host-address-ports {{ type ipv4_addr . inet_proto . inet_service : verdict; }}",
        f"add map {TABLE} host-ports {{ type inet_proto . inet_service : verdict; }}",
        f"add chain {TABLE} ports",
        f"add chain {TABLE} prerouting {{ type nat hook prerouting priority dstnat; policy accept; }}",
        f"add chain {TABLE} output {{ type nat hook output priority -100; policy accept; }}",
        f"add chain {TABLE} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}",
    ),
    {
        "ports": (
            "ip daddr . meta l4proto . th dport vmap @host-address-ports",
            "meta l4proto . th dport vmap @host-ports",
        ),
        "prerouting": ("fib daddr type local jump ports",),
        "output": ("ip daddr != 127.0.0.0/8 fib daddr type local jump ports",),
        "postrouting": (f"meta mark and {MARK} != 0 masquerade",),
    },
)
Ports = list[tuple[str, str, int, int]]  # the node's address (0.0.0.0: all), protocol, the node's port, the pod's


def wanted(pod: dict) -> Ports:
    """Return what the pod's containers take of the node's ports."""
    asked = [port for container in pod["spec"]["containers"] for port in container.get("ports") or []]
    return [
        (each.get("hostIP") or EVERY_ADDRESS, each["protocol"].lower(), each["hostPort"], each["containerPort"])
        for each in asked
        if each.get("hostPort")
    ]


def rules(pods: Iterable[tuple[str, Ports]]) -> Ruleset:
    """Return what the table ought to hold for pods, each an address and its ports."""
    ruleset = Ruleset()
    for pod, ports in pods:
        for address, protocol, port, to in ports:
            lead = (f"ip saddr {pod} meta mark set meta mark or {MARK}", f"meta l4proto {protocol} dnat to {pod}:{to}")
            chain = ruleset.chain("hostport", f"{protocol}-{port}-{pod}", lead)
            every = address == EVERY_ADDRESS
            name = "host-ports" if every else "host-address-ports"
            ruleset.entries[name, f"{'' if every else f'{address} . '}{protocol} . {port}"] = f"goto {chain}"
    return ruleset


class HostPorts:
    """Keeps the node's table; used by many threads."""

    def __init__(self) -> None:
        self._table, self._lock = Table(TABLE, BASE), threading.Lock()

    def become(self, pods: Callable[[], Iterable[tuple[str, Ports]]]) -> None:
        """Lead to the pods that are told when asked, and to no others; raises NftError."""
        with self._lock:
            self._table.become(rules(pods()))
