"""What the host outside serves over HTTP, to be reached, or not, from inside.

    /ip             the client's address as seen from here: a node's, where nodes translate their pods' addresses
    /fetch?URL      what the host outside itself gets from there: the way in, tried from beyond the cluster
    /               who it is

Upstream: none; ifconfig.me
"""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from labkit.glassbox import network, syscalls

WITHIN = 5.0  # seconds
MOST = 64 * 1024  # bytes of what is fetched


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request."""
    try:
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)).decode("latin-1")
        status, body = await respond(head.split(" ")[1], writer.get_extra_info("peername")[0])
        lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(body)}", "Connection: close"]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await asyncio.wait_for(writer.drain(), WITHIN)
    except (OSError, TimeoutError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def respond(path: str, client: str) -> tuple[str, bytes]:
    """Return status and body for a path."""
    if path == "/":
        return "200 OK", f"{network.OUTSIDE_NAME}, beyond the cluster\n".encode()
    if path == "/ip":
        return "200 OK", f"{client}\n".encode()
    if path.startswith("/fetch?"):
        try:
            return "200 OK", await asyncio.wait_for(fetch(path.partition("?")[2]), WITHIN)
        except (OSError, ValueError, TimeoutError) as error:
            return "502 Bad Gateway", f"{str(error) or 'timed out'}\n".encode()
    return "404 Not Found", b"not found\n"


async def fetch(url: str) -> bytes:
    """Return what is at a URL of an address, as seen from outside. Raises OSError or ValueError."""
    parts = urlsplit(url)
    sock = socket_outside()
    await asyncio.get_running_loop().sock_connect(sock, (str(parts.hostname), parts.port or 80))
    reader, writer = await asyncio.open_connection(sock=sock)
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    writer.write(f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode("latin-1"))
    try:
        answer = await reader.read(MOST)
        while more := await reader.read(MOST):
            answer = (answer + more)[:MOST]
    finally:
        writer.close()
    return answer.partition(b"\r\n\r\n")[2]


def socket_outside() -> socket.socket:
    with open(network.OUTSIDE_NETNS, "rb") as netns, syscalls.inside_netns(netns.fileno()):
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
