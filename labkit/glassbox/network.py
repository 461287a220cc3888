"""The cluster's network: nodes as network namespaces, joined by routes; no bridge, no NAT.

The machine's own network namespace is the *fabric*, the cable between the nodes, with address 172.30.0.1. Node i is a
namespace of its own, pinned at /run/glassbox/netns/<node>, with address 172.30.0.(10+i), and owns the pods
10.244.i.0/24. The fabric routes each range to its node; a node routes everything that is not its own to the fabric.

A pod has one veth pair: eth0 <ip>/32 with the default route via 169.254.1.1, and a node end that carries this
address, to which the node routes <ip>/32. So pods of one node, too, talk through the node's forwarding hooks, and a
server always sees the client's own address.

Another namespace, 203.0.113.10, is the outside: it hangs on the fabric as the internet on a data centre's router. It
has a way to the nodes and none to pods and services, whose addresses mean nothing there. Only where there is no nft, so
that pods go out under their own addresses, it knows the way back, and so reaches them.

Invariants: what is made here lives in the machine's namespaces only and dies with them; the host is never touched.
Left out: IPv6, a way out to the host's network.

Upstream: pkg/kubelet/network, the CNI plugins ptp and host-local, Calico's routed veths
"""

import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.glassbox import nftables, syscalls
from labkit.glassbox.netlink import RT_SCOPE_LINK, Netlink
from labkit.glassbox.user_namespace import has_one_id

NETNS_DIR = Path("/run/glassbox/netns")
FABRIC_ADDRESS = "172.30.0.1"
OUTSIDE_NAME, OUTSIDE_ADDRESS = "outside.example", "203.0.113.10"  # both reserved for documentation
OUTSIDE_NETNS = NETNS_DIR / "outside"
INGRESS_ADDRESS = "172.30.0.2"  # the fabric's, too
NODE_RANGE = "172.30.0.0/24"
POD_RANGE = "10.244.0.0/16"
POD_GATEWAY = "169.254.1.1"  # link-local: the same on every node, never seen beyond a pod's own link
MAX_NODES = 200  # 172.30.0.(10+i) and 10.244.i.0/24 must both exist


@dataclass(frozen=True)
class NodeNetwork:
    """What one node is called and which addresses are its own."""

    name: str
    address: str
    pod_cidr: str

    @property
    def netns(self) -> Path:
        """Where the node's network namespace is pinned."""
        return NETNS_DIR / self.name


def plan_nodes(count: int) -> list[NodeNetwork]:
    """Return the networks of nodes 1 to `count`; raises ValueError beyond what the address ranges hold."""
    if not 1 <= count <= MAX_NODES:
        raise ValueError(f"{count} nodes: expected 1 to {MAX_NODES}")
    return [NodeNetwork(f"node{i}", f"172.30.0.{10 + i}", f"10.244.{i}.0/24") for i in range(1, count + 1)]


def node_named(name: str) -> NodeNetwork:
    """Return the network of a node, which its name says. Raises ValueError."""
    number = name.removeprefix("node")
    if not number.isascii() or not number.isdigit():
        raise ValueError(f"{name!r} is no node of this cluster")
    return plan_nodes(int(number))[-1]


class Fabric:
    """The nodes' namespaces and the links that join them; made once, in the machine's first process."""

    def __init__(self, nodes: list[NodeNetwork]) -> None:
        self.nodes = nodes

    def make(self) -> None:
        """Make every node's namespace, its link to this one, and the routes between them."""
        NETNS_DIR.mkdir(parents=True, exist_ok=True)
        with Netlink() as fabric:
            _open_for_traffic(fabric)
            fabric.add_address("lo", f"{FABRIC_ADDRESS}/32")
            fabric.add_address("lo", f"{INGRESS_ADDRESS}/32")
            for node in self.nodes:
                _add(fabric, node)
            _pin_new_netns(OUTSIDE_NETNS)
            with open(OUTSIDE_NETNS, "rb") as netns:
                fabric.add_veth("outside", peer="eth0", peer_netns=netns.fileno())
                fabric.add_route(f"{OUTSIDE_ADDRESS}/32", "outside", source=FABRIC_ADDRESS)
                with syscalls.inside_netns(netns.fileno()), Netlink() as inside:
                    inside.set_up("lo")
                    _set_up_link(inside, OUTSIDE_ADDRESS, NODE_RANGE, *([] if nftables.binary() else [POD_RANGE]))


def add(node: NodeNetwork) -> None:
    """Give the running cluster's network another node; the calling thread is in the fabric."""
    with Netlink() as fabric:
        _add(fabric, node)


def cut(node: NodeNetwork) -> None:
    """Take the node's link down: nothing reaches it, it reaches nothing, and what is within goes on."""
    with Netlink() as fabric:
        fabric.set_up(node.name, False)


def mend(node: NodeNetwork) -> None:
    """Bring the node's link up again."""
    with Netlink() as fabric:
        fabric.set_up(node.name)
        _route(fabric, node)


def listen_outside(port: int) -> socket.socket:
    """Listen on a port of the host outside."""
    with open(OUTSIDE_NETNS, "rb") as netns, syscalls.inside_netns(netns.fileno()):
        return socket.create_server((OUTSIDE_ADDRESS, port), backlog=512)


def enter(node: str) -> None:
    """Move the calling thread, a component before its start, into a node's network namespace."""
    with open(NETNS_DIR / node, "rb") as netns:
        syscalls.setns(netns.fileno(), syscalls.CLONE_NEWNET)


def attach_pod(pid: int, address: str, link: str, sysctls: Mapping[str, str] | None = None) -> None:
    """Join the network namespace of process `pid` to the calling thread's, the node's, and give it `address`.

    `link` (at most 15 characters) names the node's end. Raises OSError (EEXIST: the link is there already) or
    ValueError; after an error nothing is left.
    """
    node_address = _own_address()
    with Netlink() as node, open(f"/proc/{pid}/ns/net", "rb") as netns:
        node.add_veth(link, peer="eth0", peer_netns=netns.fileno())
        try:
            _set(f"net/ipv4/conf/{link}/rp_filter", "1")  # a pod cannot send in another's name
            node.add_address(link, f"{POD_GATEWAY}/32", scope=RT_SCOPE_LINK)
            node.add_route(f"{address}/32", link, source=node_address)
            with syscalls.inside_netns(netns.fileno()), Netlink() as pod:
                _set_up_pod(pod, address)
                for name, value in (_parameters() | dict(sysctls or {})).items():
                    _set(name.replace(".", "/"), value)
        except (OSError, ValueError):
            node.delete_link(link)
            raise


def detach_pod(link: str) -> None:
    """Take away a pod's link, if it is still there, and with it the pod's address and route."""
    with Netlink() as node:
        try:
            node.delete_link(link)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise


def _set_up_pod(pod: Netlink, address: str) -> None:
    pod.set_up("lo")
    pod.set_up("eth0")
    pod.add_address("eth0", f"{address}/32")
    pod.add_route("0.0.0.0/0", "eth0", via=POD_GATEWAY)


def _parameters() -> dict[str, str]:
    """Return what containerd sets: a pod's ports are its own, and every group may ping."""
    groups = "0 0" if has_one_id() else "0 65535"
    return {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": groups}


def _route(fabric: Netlink, node: NodeNetwork) -> None:
    fabric.add_route(f"{node.address}/32", node.name, source=FABRIC_ADDRESS)
    fabric.add_route(node.pod_cidr, node.name, via=node.address, source=FABRIC_ADDRESS)


def _add(fabric: Netlink, node: NodeNetwork) -> None:
    _pin_new_netns(node.netns)
    with open(node.netns, "rb") as netns:
        fabric.add_veth(node.name, peer="eth0", peer_netns=netns.fileno())
        _route(fabric, node)
        with syscalls.inside_netns(netns.fileno()), Netlink() as inside:
            _open_for_traffic(inside)
            _set_up_link(inside, node.address, "0.0.0.0/0")


def _set_up_link(inside: Netlink, address: str, *ways: str) -> None:
    inside.set_up("eth0")
    inside.add_address("eth0", f"{address}/32")
    for way in ways:
        inside.add_route(way, "eth0", via=FABRIC_ADDRESS, source=address)


def _open_for_traffic(namespace: Netlink) -> None:
    namespace.set_up("lo")
    _set("net/ipv4/ip_forward", "1")
    _set("net/ipv4/ip_unprivileged_port_start", "0")  # for pods on the node's network
    _set("net/ipv4/ping_group_range", "0 0")


def _pin_new_netns(path: Path) -> None:
    """Make a network namespace that lives as long as the mount at `path`."""
    path.touch()
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            syscalls.mount("/proc/thread-self/ns/net", str(path), flags=syscalls.MS_BIND)
        finally:
            syscalls.setns(home, syscalls.CLONE_NEWNET)
    finally:
        os.close(home)


def _own_address() -> str | None:
    """Return the address from which this namespace reaches the fabric: the node's; None outside a cluster."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((FABRIC_ADDRESS, 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def _set(name: str, value: str) -> None:
    """Set a kernel parameter of the calling thread's network namespace."""
    Path("/proc/sys", name).write_text(value)
