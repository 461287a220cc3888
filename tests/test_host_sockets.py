"""The process that stays in the host's network and opens sockets there."""

import socket

import pytest

from labkit.glassbox import host_sockets


@pytest.fixture
def host(tmp_path):
    """The way to ask it."""
    with open(tmp_path / "lock", "w") as lock, host_sockets.stay_behind("test", lock.fileno()) as asking:
        yield asking


def test_a_socket_of_the_hosts_loopback_is_sent_over(host):
    with host_sockets.ask(host, "tcp", 0) as listener, socket.create_connection(listener.getsockname()):
        assert listener.accept()[1][0] == "127.0.0.1"


def test_what_cannot_be_opened_is_told_and_the_next_is_served(host):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="Address already in use"):
        host_sockets.ask(host, "tcp", other.getsockname()[1])
    for protocol, port in (("tcp", 99999), ("sctp", 1), ("tcp", -1)):
        with pytest.raises(OSError):
            host_sockets.ask(host, protocol, port)
    host_sockets.ask(host, "udp", 0).close()
