"""nc for the tools images: connect, listen once, or look whether a port is open."""

import argparse
import os
import selectors
import socket
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="nc")
    parser.add_argument("-l", dest="listen", action="store_true")
    parser.add_argument("-p", dest="port", type=int)
    parser.add_argument("-w", dest="timeout", type=float)
    parser.add_argument("-z", dest="zero", action="store_true")
    parser.add_argument("-v", dest="verbose", action="store_true")
    parser.add_argument("where", nargs="*")
    options = parser.parse_args()
    try:
        connection = _listen(options) if options.listen else _connect(options)
    except OSError as error:
        where = " ".join(options.where)
        print(f"nc: {where}: {error.strerror or 'timed out'}", file=sys.stderr)
        return 1
    if options.verbose and not options.listen:
        print(f"{options.where[0]} ({connection.getpeername()[0]}:{options.where[1]}) open", file=sys.stderr)
    if not options.zero:
        _copy(connection)
    return 0


def _connect(options: argparse.Namespace) -> socket.socket:
    connection = socket.create_connection((options.where[0], int(options.where[1])), options.timeout)
    connection.settimeout(None)
    return connection


def _listen(options: argparse.Namespace) -> socket.socket:
    port = options.port or int(options.where[-1])
    with socket.create_server(("", port)) as listener:
        listener.settimeout(options.timeout)
        return listener.accept()[0]


def _copy(connection: socket.socket) -> None:
    watched = selectors.DefaultSelector()
    watched.register(connection, selectors.EVENT_READ)
    try:
        watched.register(0, selectors.EVENT_READ)
    except PermissionError:  # a file or /dev/null, always readable: send it whole
        connection.sendall(sys.stdin.buffer.read())
        connection.shutdown(socket.SHUT_WR)
    while True:
        for key, _ in watched.select():
            data = os.read(key.fd, 65536)
            if key.fd == 0 and not data:
                watched.unregister(0)
                connection.shutdown(socket.SHUT_WR)
            elif not data:
                return
            elif key.fd == 0:
                connection.sendall(data)
            else:
                os.write(1, data)


sys.exit(main())
