"""One HTTP/1.1 connection, a request at a time, with the times at which things happened to it.

Standard library only: this file goes into the generator's pod. Left out: pipelining, redirects, bodies of requests,
HTTP/2, proxies. TLS is checked as a browser would; what fails has a kind, so that errors can be counted by it.
"""

import asyncio
import errno
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

END = b"\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """What the server said; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Malformed(Exception):
    """What came back is not HTTP/1.1."""


class Target:
    """Where requests go: the address is looked up when first needed, and again a second after a failure."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, secure = parts.hostname or "", parts.scheme == "https"
        self.port = parts.port or (443 if secure else 80)
        self.tls = ssl.create_default_context() if secure else None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = parts.netloc.rpartition("@")[2]
        self._head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: labkit-loadtest\r\n".encode()
        self._address, self._failure, self._again, self._lock = "", OSError(), 0.0, asyncio.Lock()

    def request(self, keep: bool) -> bytes:
        """Return the bytes of one request."""
        return self._head + (b"\r\n" if keep else b"Connection: close\r\n\r\n")

    async def address(self) -> str:
        """Return the host's address; raises socket.gaierror."""
        async with self._lock:
            if not self._address and time.monotonic() > self._again:
                await self._look_up()
        if self._address:
            return self._address
        raise type(self._failure)(*self._failure.args)

    async def _look_up(self) -> None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            self._address = str(found[0][4][0])
        except OSError as error:
            self._failure, self._again = error, time.monotonic() + 1

    async def connect(self) -> "Connection":
        """Open a connection; raises OSError."""
        address, name = await self.address(), self.host if self.tls else None
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, address, self.port, ssl=self.tls, server_hostname=name)
        return connection


class Connection(asyncio.Protocol):
    """Sends a request and waits for its answer; `first_byte` is when the answer began, `reusable` whether to go on."""

    def __init__(self) -> None:
        self.buffer, self.first_byte, self.reusable = b"", 0.0, True
        self._answer: asyncio.Future[Answer] | None = None

    def connection_made(self, transport) -> None:
        """Keep the way out."""
        self.transport = transport

    async def ask(self, request: bytes) -> Answer:
        """Send, and return the answer; raises OSError or Malformed."""
        self.buffer, self.first_byte = b"", 0.0
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Add to the answer; it may be whole now."""
        self.first_byte = self.first_byte or time.monotonic()
        self.buffer += data
        self._read(at_end=False)

    def connection_lost(self, error: Exception | None) -> None:
        """End an answer that ends with its connection; any other is lost."""
        self.reusable = False
        self._read(at_end=True)
        if self._answer and not self._answer.done():
            kind = error or ConnectionError(errno.EPIPE, "closed before the answer was whole")
            self._answer.set_exception(kind)

    def close(self) -> None:
        """Hang up."""
        self.reusable = False
        self.transport.abort()

    def _read(self, at_end: bool) -> None:
        if self._answer is None or self._answer.done() or not self.buffer:
            return
        try:
            answer = parse(self.buffer, at_end)
        except (Malformed, ValueError) as error:
            self.reusable = False
            self._answer.set_exception(Malformed(str(error)))
            return
        if answer:
            self.reusable = self.reusable and answer.headers.get("connection", "").lower() != "close"
            self._answer.set_result(answer)


def parse(data: bytes, at_end: bool) -> Answer | None:
    """Return the answer when it is whole, None before; raises Malformed.

    Without a length the body ends with the connection (RFC 9112, 6.3).
    """
    head, end, rest = data.partition(END)
    if not data.startswith(b"HTTP/1."[: len(data)]):
        raise Malformed(f"begins with {data[:20]!r}")
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ", 2)[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body: bytes | None
    if status in (204, 304):
        body = b""
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        body = _chunks(rest)
    elif "content-length" in headers:
        length = int(headers["content-length"])
        body = rest[:length] if len(rest) >= length else None
    else:
        body = rest if at_end else None
    return None if body is None else Answer(status, headers, body)


def _chunks(data: bytes) -> bytes | None:
    parts: list[bytes] = []
    position = 0
    while (end := data.find(b"\r\n", position)) >= 0:
        size = int(data[position:end].split(b";")[0], 16)
        if len(data) < end + 2 + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(data[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
    return None


def kind_of(error: BaseException) -> str:
    """Name what went wrong, in one word: what errors are counted by."""
    named = {errno.EHOSTUNREACH: "unreachable", errno.ENETUNREACH: "unreachable", errno.EPIPE: "closed",
             errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.ETIMEDOUT: "timeout",
             errno.EMFILE: "files", errno.EADDRNOTAVAIL: "ports"}  # fmt: skip
    for kind, name in ((socket.gaierror, "dns"), (ssl.SSLError, "tls"), (TimeoutError, "timeout"),
                       (Malformed, "malformed"), (ConnectionResetError, "reset")):  # fmt: skip
        if isinstance(error, kind):
            return name
    return named.get(getattr(error, "errno", None) or 0, type(error).__name__)
