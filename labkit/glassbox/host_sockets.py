"""Sockets on the host's loopback, for a machine that has left the host's network.

A small process that the machine starts before it leaves stays behind; asked over a socket pair for "tcp 30080", it
opens a socket and sends it back, and the socket keeps the host's network wherever it goes. With the last of the
machine's processes the pair's other end closes, and the process ends.

Invariants: it opens sockets on 127.0.0.1 and does nothing else, as nobody who owns anything; it holds the cluster's
lock as the machine does, so that `down` waits for it.

Upstream: none; a container engine's port mapping does this
"""

import os
import signal
import socket
import sys

LOOPBACK = "127.0.0.1"
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
NOBODY = 65534


def stay_behind(name: str, lock: int) -> socket.socket:
    """Start the process; return the socket on which to ask it."""
    import subprocess  # the process itself needs little, and so has little

    asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-I", "-S", __file__, str(asked.fileno()), f"labkit host sockets ({name})"]
    with asked:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[asked.fileno(), lock], start_new_session=True)
    return asking


def main() -> None:
    """Be that process: nobody who owns anything, and deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    serve(socket.socket(fileno=int(sys.argv[1])))


def serve(asked: socket.socket) -> None:
    """Open what is asked for until nobody is left who could ask."""
    while request := asked.recv(64).decode():
        try:
            protocol, port = request.split()
            with bound(protocol, LOOPBACK, int(port)) as opened:
                if protocol == "tcp":
                    opened.listen(512)
                socket.send_fds(asked, [b"opened"], [opened.fileno()])
        except (OSError, OverflowError, ValueError, KeyError) as error:
            asked.send((getattr(error, "strerror", None) or str(error)).encode())


def ask(asking: socket.socket, protocol: str, port: int) -> socket.socket:
    """Return a socket bound to a port of the host's loopback. Raises OSError."""
    asking.send(f"{protocol} {port}".encode())
    said, fds, *_ = socket.recv_fds(asking, 4096, 1)
    if not fds:
        raise OSError(said.decode() or "nobody is left on the host")
    return socket.socket(fileno=fds[0])


def bound(protocol: str, address: str, port: int) -> socket.socket:
    """Return a socket of an address. Raises OSError."""
    opened = socket.socket(socket.AF_INET, KINDS[protocol])
    try:
        if protocol == "tcp":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
    except BaseException:
        opened.close()
        raise
    return opened


if __name__ == "__main__":
    main()
