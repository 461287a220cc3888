"""Ends what the kernel remembers of UDP flows: else a client would go on being sent to an endpoint that is gone.

A flow is known by where its client sent it (the virtual address) and whence its answers come (the endpoint).

Upstream: pkg/proxy/conntrack/cleanup.go; linux/netfilter/nfnetlink_conntrack.h
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

CTNETLINK, GET, DELETE = 1 << 8, 1, 2
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLMSG_ERROR, NLMSG_DONE = 0x1, 0x4, 0x300, 2, 3
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_ID, CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2, 12, 1, 2
CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_PROTO_NUM, CTA_PROTO_SRC_PORT = 1, 2, 1, 2
NETLINK_NETFILTER = 12
TYPE_MASK = 0x3FFF
_HEADER, _FAMILY = struct.Struct("=IHHII"), struct.pack("=BBH", socket.AF_INET, 0, 0)


def forget(flows: set[tuple[str, str, int]]) -> None:
    """End the UDP flows to (virtual address, endpoint, its port) in the calling thread's network namespace."""
    if not flows:
        return
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as kernel:
        for original, key in [*_dump(kernel)]:
            if key in flows:
                body = _FAMILY + _attribute(CTA_TUPLE_ORIG | 0x8000, original)
                _send(kernel, DELETE, NLM_F_ACK, body)
                kernel.recv(65536)


def _dump(kernel: socket.socket) -> Iterator[tuple[bytes, tuple[str, str, int]]]:
    _send(kernel, GET, NLM_F_DUMP, _FAMILY)
    while True:
        data = kernel.recv(1 << 20)
        while data:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                return
            flow = dict(_attributes(data[_HEADER.size + len(_FAMILY) : length]))
            reply = dict(_attributes(flow[CTA_TUPLE_REPLY]))
            proto = dict(_attributes(reply[CTA_TUPLE_PROTO]))
            if proto[CTA_PROTO_NUM][0] == socket.IPPROTO_UDP:
                sent = dict(_attributes(dict(_attributes(flow[CTA_TUPLE_ORIG]))[CTA_TUPLE_IP]))
                answered = dict(_attributes(reply[CTA_TUPLE_IP]))
                port = struct.unpack("!H", proto[CTA_PROTO_SRC_PORT][:2])[0]
                addresses = socket.inet_ntoa(sent[CTA_IP_V4_DST]), socket.inet_ntoa(answered[CTA_IP_V4_SRC])
                yield flow[CTA_TUPLE_ORIG], (*addresses, port)
            data = data[(length + 3) & ~3 :]


def _send(kernel: socket.socket, kind: int, flags: int, body: bytes) -> None:
    header = _HEADER.pack(_HEADER.size + len(body), CTNETLINK | kind, NLM_F_REQUEST | flags, 1, 0)
    kernel.send(header + body)


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & TYPE_MASK, data[4:length]
        data = data[(length + 3) & ~3 :]
