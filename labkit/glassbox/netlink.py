"""Links, addresses and routes of the calling thread's network namespace, by rtnetlink.

A `Netlink` keeps the namespace in which it was opened, wherever its thread goes afterwards; each call is one request
and one answer of the kernel, and raises OSError with the kernel's error. IPv4 and veth pairs only: that is all the
cluster's network is made of.

Why not pyroute2: its import takes 0.2 s and 12 MB, a quarter of the time in which a cluster is up, and its
synchronous calls run event loops in threads, which a process that forks components must not have.

Upstream: github.com/vishvananda/netlink, which CNI plugins use
"""

import fcntl
import ipaddress
import os
import socket
import struct

RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK = 16, 17, 19
RTM_NEWADDR = 20
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC = 1, 4, 5, 7
IFF_UP = 1
SIOCGIFINDEX = 0x8933
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST, RTNH_F_ONLINK = 254, 4, 1, 4
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST = 0, 253, 254
RT_TABLE_LOCAL, RTN_LOCAL = 255, 2

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, mask of flags to change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, link index
_ROUTE = struct.Struct("=8BI")  # family, dst and src lengths, tos, table, protocol, scope, type, flags


class Netlink:
    """One rtnetlink socket; use it as a context manager. Not for several threads at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sequence = 0

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def add_veth(self, name: str, *, peer: str, peer_netns: int) -> None:
        """Make a pair of links: `name` here and up, `peer` in the namespace with that fd and, as yet, down."""
        up = _LINK.pack(socket.AF_UNSPEC, 0, 0, IFF_UP, IFF_UP)
        other = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)  # the kernel cannot bring it up before the pair is whole
        other += _attribute(IFLA_IFNAME, _text(peer)) + _attribute(IFLA_NET_NS_FD, struct.pack("=I", peer_netns))
        info = _attribute(IFLA_INFO_KIND, _text("veth"))
        info += _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, other))
        body = up + _attribute(IFLA_IFNAME, _text(name)) + _attribute(IFLA_LINKINFO, info)
        self._ask(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)

    def set_up(self, name: str, up: bool = True) -> None:
        """Bring a link up, or down, and then its routes are gone."""
        self._ask(RTM_SETLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, self.index(name), IFF_UP * up, IFF_UP))

    def delete_link(self, name: str) -> None:
        """Delete a link, and so its peer."""
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _attribute(IFLA_IFNAME, _text(name))
        self._ask(RTM_DELLINK, 0, body)

    def add_address(self, name: str, address: str, *, scope: int = RT_SCOPE_UNIVERSE) -> None:
        """Give a link an address ("10.0.0.1/32")."""
        interface = ipaddress.IPv4Interface(address)
        packed = interface.ip.packed
        body = _ADDRESS.pack(socket.AF_INET, interface.network.prefixlen, 0, scope, self.index(name))
        body += _attribute(IFA_LOCAL, packed) + _attribute(IFA_ADDRESS, packed)
        self._ask(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body)

    def add_route(self, destination: str, link: str, *, via: str | None = None, source: str | None = None) -> None:
        """Route "10.244.1.0/24" over a link, through a gateway held to be on it, with a preferred source address."""
        network = ipaddress.IPv4Network(destination)
        scope, flags = (RT_SCOPE_UNIVERSE, RTNH_F_ONLINK) if via else (RT_SCOPE_LINK, 0)
        body = _ROUTE.pack(
            socket.AF_INET, network.prefixlen, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, flags
        )
        body += _attribute(RTA_DST, network.network_address.packed) if network.prefixlen else b""
        body += _attribute(RTA_OIF, struct.pack("=I", self.index(link)))
        body += _attribute(RTA_GATEWAY, socket.inet_aton(via)) if via else b""
        body += _attribute(RTA_PREFSRC, socket.inet_aton(source)) if source else b""
        self._ask(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body)

    def local_route(self, destination: str, there: bool = True) -> None:
        """Take what is sent to "10.96.0.0/16" for this host itself, though no link has it; or do so no longer."""
        network = ipaddress.IPv4Network(destination)
        body = _ROUTE.pack(
            socket.AF_INET, network.prefixlen, 0, 0, RT_TABLE_LOCAL, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL, 0
        )
        body += _attribute(RTA_DST, network.network_address.packed)
        body += _attribute(RTA_OIF, struct.pack("=I", self.index("lo")))
        self._ask(*((RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE) if there else (RTM_DELROUTE, 0)), body)

    def index(self, name: str) -> int:
        """Return a link's number; raises OSError ENODEV."""
        request = struct.pack("16si12x", name.encode(), 0)  # struct ifreq; the socket's namespace answers
        return struct.unpack("16si12x", fcntl.ioctl(self._socket, SIOCGIFINDEX, request))[1]

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        length = _HEADER.size + len(body)
        header = _HEADER.pack(length, kind, flags | NLM_F_REQUEST | NLM_F_ACK, self._sequence, 0)
        self._socket.send(header + body)
        answer = self._socket.recv(65536)
        (error,) = struct.unpack_from("=i", answer, _HEADER.size)
        if error:
            raise OSError(-error, f"netlink: {os.strerror(-error)}")


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + b"\0" * (-length % 4)


def _text(value: str) -> bytes:
    return value.encode() + b"\0"
