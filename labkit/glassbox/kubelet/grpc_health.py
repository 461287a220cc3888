"""Asks a server for its health by gRPC: one call of grpc.health.v1.Health/Check, over the least HTTP/2 that carries it.

A library would cost more memory than the kubelet has; what is needed is one request, its headers written out literally,
and of the answer its one message. Left out: why a call failed (grpc-status comes compressed, after no message), TLS,
flow control (an answer has a few bytes).

Upstream: pkg/probe/grpc/grpc.go; RFC 9113 (HTTP/2), RFC 7541 (HPACK)
"""

import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


def check(host: str, port: int, service: str, timeout: float) -> tuple[str, str]:
    """Return success or failure, and why, in upstream's words."""
    where, limit, deadline = f"{host}:{port}", f"{timeout:g}s", time.monotonic() + timeout
    try:
        connection = socket.create_connection((host, port), timeout)
    except OSError:
        return "failure", f'timeout: failed to connect service "{where}" within {limit}: context deadline exceeded'
    with connection:
        try:
            connection.sendall(_request(where, service))
            message = _answer(connection, deadline)
        except TimeoutError:
            return "failure", f"timeout: health rpc did not complete within {limit}"
        except (OSError, EOFError) as error:
            return "failure", f"error: health rpc probe failed: rpc error: code = Unavailable desc = {error}"
    if not message:
        told = "the server does not implement grpc.health.v1.Health, or does not know the service"
        return "failure", f"error: health rpc probe failed: {told}"
    status = _status(message)
    return ("success", "service healthy") if status == "SERVING" else (
        "failure", f'service unhealthy (responded with "{status}")'
    )  # fmt: skip


def _status(message: bytes) -> str:
    """Return the health in a message, which has it as field 1; one without it says UNKNOWN."""
    number = message[6] if message[5:6] == b"\x08" else 0
    return STATUSES[number] if number < len(STATUSES) else str(number)


def _request(authority: str, service: str) -> bytes:
    message = b"\x0a" + _text(service) if service else b""
    headers = (
        b"\x83\x86"  # :method POST, :scheme http
        + b"\x04" + _text("/grpc.health.v1.Health/Check")  # :path
        + b"\x01" + _text(authority)  # :authority
        + b"\x0f\x10" + _text("application/grpc")  # content-type
        + b"\x0f\x2b" + _text("kube-probe/1.36")  # user-agent
        + b"\x00" + _text("te") + _text("trailers")
    )  # fmt: skip
    body = struct.pack(">BI", 0, len(message)) + message
    return (
        PREFACE
        + _frame(SETTINGS, 0, 0, b"")
        + _frame(HEADERS, END_HEADERS, 1, headers)
        + _frame(DATA, END_STREAM, 1, body)
    )


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _answer(connection: socket.socket, deadline: float) -> bytes:
    """Return the data of the one stream; raises EOFError when it is cut short."""
    data = b""
    while True:
        head = _read(connection, 9, deadline)
        kind, flags, _ = struct.unpack(">BBI", head[3:])
        payload = _read(connection, int.from_bytes(head[:3], "big"), deadline)
        if kind in (SETTINGS, PING) and not flags & ACK:
            connection.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind in (RST_STREAM, GOAWAY):
            raise EOFError("the stream was reset" if kind == RST_STREAM else "the connection is closing")
        elif kind == DATA:
            data += payload[1 : len(payload) - payload[0]] if flags & PADDED else payload
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            return data


def _read(connection: socket.socket, size: int, deadline: float) -> bytes:
    read = b""
    while len(read) < size:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        if not (more := connection.recv(size - len(read))):
            raise EOFError("error reading server preface: EOF" if not read else "unexpected EOF")
        read += more
    return read
