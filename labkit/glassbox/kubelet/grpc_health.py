"""Asks a server for its health by gRPC: one call of grpc.health.v1.Health/Check, over the least HTTP/2 that carries it.

A library would cost more memory than the kubelet has; what is needed is one request whose headers are written out
literally, and of the answer its message and grpc-status. Texts that the server compressed are known by their bits:
those of the name, and the digits.

Left out: what a server says of a failure beside its code, TLS, flow control (an answer has a few bytes).

Upstream: pkg/probe/grpc/grpc.go; RFC 9113 (HTTP/2), RFC 7541 (HPACK)
"""

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
UNIMPLEMENTED = 12
CODES = {
    1: "Canceled",
    2: "Unknown",
    4: "DeadlineExceeded",
    5: "NotFound",
    7: "PermissionDenied",
    8: "ResourceExhausted",
    13: "Internal",
    14: "Unavailable",
    16: "Unauthenticated",
}
# HPACK's code for the letters of grpc-status and for the digits.
BITS = {
    "g": "100110", "r": "101100", "p": "101011", "c": "00100", "-": "010110", "s": "01000", "t": "01001", "a": "00011",
    "u": "101101", "0": "00000", "1": "00001", "2": "00010", "3": "011001", "4": "011010", "5": "011011",
    "6": "011100", "7": "011101", "8": "011110", "9": "011111",
}  # fmt: skip


@dataclass
class Answer:
    """What came back on the one stream."""

    data: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The health in the message, which has it as field 1; a message without it says UNKNOWN."""
        number = self.data[6] if self.data[5:6] == b"\x08" else 0
        return STATUSES[number] if number < len(STATUSES) else str(number)

    @property
    def code(self) -> int:
        """The call's grpc-status."""
        for name, value in self.headers:
            if name in (b"grpc-status", _compressed("grpc-status")):
                return next(code for code in range(100) if value in (str(code).encode(), _compressed(str(code))))
        return 2


def check(host: str, port: int, service: str, timeout: float) -> tuple[str, str]:
    """Return success or failure, and why, in upstream's words."""
    where, limit, deadline = f"{host}:{port}", f"{int(timeout)}s", time.monotonic() + timeout
    try:
        connection = socket.create_connection((host, port), timeout)
    except OSError:
        return "failure", f'timeout: failed to connect service "{where}" within {limit}: context deadline exceeded'
    with connection:
        try:
            connection.sendall(_request(where, service))
            answer = _answer(connection, deadline)
        except TimeoutError:
            return "failure", f"timeout: health rpc did not complete within {limit}"
        except (OSError, EOFError) as error:
            return "failure", f"error: health rpc probe failed: rpc error: code = Unavailable desc = {error}"
    if answer.data and answer.code == 0:
        well = answer.status == "SERVING"
        return (
            ("success", "service healthy")
            if well
            else ("failure", f'service unhealthy (responded with "{answer.status}")')
        )
    if answer.code == UNIMPLEMENTED:
        return "failure", "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
    code = CODES.get(answer.code, str(answer.code))
    return "failure", f"error: health rpc probe failed: rpc error: code = {code}"


def _request(authority: str, service: str) -> bytes:
    message = b"\x0a" + bytes([len(service)]) + service.encode() if service else b""
    headers = (
        b"\x83\x86"  # :method POST, :scheme http
        + b"\x04" + _text("/grpc.health.v1.Health/Check")  # :path
        + b"\x01" + _text(authority)  # :authority
        + b"\x0f\x10" + _text("application/grpc")  # content-type
        + b"\x0f\x2b" + _text("kube-probe/1.36")  # user-agent
        + b"\x00" + _text("te") + _text("trailers")
    )  # fmt: skip
    body = struct.pack(">BI", 0, len(message)) + message
    frames = _frame(SETTINGS, 0, 0, b"") + _frame(HEADERS, END_HEADERS, 1, headers)
    return PREFACE + frames + _frame(DATA, END_STREAM, 1, body)


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _answer(connection: socket.socket, deadline: float) -> Answer:
    answer, block = Answer(), b""
    while True:
        kind, flags, payload = _next_frame(connection, deadline)
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            connection.sendall(_frame(PING, ACK, 0, payload))
        elif kind in (RST_STREAM, GOAWAY):
            raise EOFError("the stream was reset" if kind == RST_STREAM else "the connection is closing")
        elif kind == DATA:
            answer.data += _unpadded(payload, flags)
        elif kind in (HEADERS, CONTINUATION):
            block += _unpadded(payload, flags)[5 if kind == HEADERS and flags & PRIORITY else 0 :]
            if flags & END_HEADERS:
                answer.headers += _fields(block)
                block = b""
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            return answer


def _next_frame(connection: socket.socket, deadline: float) -> tuple[int, int, bytes]:
    head = _read(connection, 9, deadline)
    kind, flags, _ = struct.unpack(">BBI", head[3:])
    return kind, flags, _read(connection, int.from_bytes(head[:3], "big"), deadline)


def _read(connection: socket.socket, size: int, deadline: float) -> bytes:
    read = b""
    while len(read) < size:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        if not (more := connection.recv(size - len(read))):
            raise EOFError("error reading server preface: EOF" if not read else "unexpected EOF")
        read += more
    return read


def _unpadded(payload: bytes, flags: int) -> bytes:
    return payload[1 : len(payload) - payload[0]] if flags & PADDED else payload


def _fields(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Cut a header block into its literal fields: name (empty where it is one of a table) and value, as sent."""
    at = 0
    while at < len(block):
        first = block[at]
        prefix = 7 if first & 0x80 else 6 if first & 0x40 else 5 if first & 0x20 else 4
        index, at = _number(block, at, prefix)
        if prefix in (7, 5):  # all of it is in a table; or a table's size
            continue
        name = b""
        if index == 0:
            name, at = _string(block, at)
        value, at = _string(block, at)
        yield name, value


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    size, at = _number(block, at, 7)
    return block[at : at + size], at + size


def _number(block: bytes, at: int, prefix: int) -> tuple[int, int]:
    most = (1 << prefix) - 1
    value, at = block[at] & most, at + 1
    if value < most:
        return value, at
    shift = 0
    while True:
        value += (block[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not block[at - 1] & 0x80:
            return value, at


def _compressed(text: str) -> bytes:
    bits = "".join(BITS[each] for each in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")
