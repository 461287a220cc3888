"""One gRPC health check over a connection, against a server that answers frame by frame."""

import socket
import struct
import threading
from contextlib import contextmanager

import pytest

from labkit.glassbox.kubelet import grpc_health

SETTINGS, DATA, HEADERS, PING = 4, 0, 1, 6
OK_HEADERS = b"\x88\x5f\x10application/grpc"  # :status 200, content-type
STATUS_0, STATUS_12 = b"\x40\x0bgrpc-status\x010", b"\x40\x0bgrpc-status\x0212"


def frame(kind, flags, payload, stream=1):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def message(status):
    body = bytes([8, status]) if status else b""
    return frame(DATA, 0, b"\0" + struct.pack(">I", len(body)) + body)


@contextmanager
def server(*answer):
    """Answer whoever comes with these bytes; hang up only when the client does."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"".join(answer))
            while connection.recv(4096):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield listening.getsockname()[1]
    thread.join()
    listening.close()


BEGIN = (frame(SETTINGS, 0, b"", 0), frame(PING, 0, b"12345678", 0), frame(HEADERS, 4, OK_HEADERS))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (1, ("success", "service healthy")),
        (2, ("failure", 'service unhealthy (responded with "NOT_SERVING")')),
        (0, ("failure", 'service unhealthy (responded with "UNKNOWN")')),
    ],
)
def test_a_server_tells_its_health(status, told):
    with server(*BEGIN, message(status), frame(HEADERS, 5, STATUS_0)) as port:
        assert grpc_health.check("127.0.0.1", port, "", 2) == told


def test_a_server_without_health():
    with server(frame(SETTINGS, 0, b"", 0), frame(HEADERS, 5, OK_HEADERS + STATUS_12)) as port:
        result, why = grpc_health.check("127.0.0.1", port, "shop", 2)
    assert result == "failure"
    assert "does not implement grpc.health.v1.Health, or does not know the service" in why


def test_a_server_that_does_not_answer_in_time():
    with server(*BEGIN) as port:
        assert grpc_health.check("127.0.0.1", port, "", 0.1)[1] == "timeout: health rpc did not complete within 0.1s"
