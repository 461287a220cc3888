"""The frames of SPDY/3.1, as far as exec, attach and port-forward use them: pure, bytes in, frames out, and back.

A control frame opens with a set bit, the version and a type; a data frame with the number of its stream. Headers are
compressed over the whole connection with a dictionary that both sides know.

Left out: priorities, SETTINGS, WINDOW_UPDATE (read and dropped: the other side, moby/spdystream, keeps no windows),
streams that the server opens.

Upstream: github.com/moby/spdystream spdy; the SPDY/3.1 specification
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
DATA = 0  # our own number: data frames have none
FIN = 1  # flag: the last frame of its side of the stream
CONTROL = 0x80030000  # the control bit and version 3
ID = 0x7FFFFFFF
PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 1, 3, 5  # why a stream is reset
MAX_FRAME = 1 << 20  # bytes; none of kubectl's comes near
MAX_HEADERS = 64 * 1024  # bytes of a header block

WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
TAIL = (
    b"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    b"203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    b"403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    b"Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    b"chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    b"text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _sized(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


DICTIONARY = b"".join(_sized(word.replace("_", " ").encode()) for word in WORDS.split()) + TAIL


class ProtocolError(Exception):
    """The other side does not speak SPDY/3.1."""


@dataclass(frozen=True)
class Frame:
    """One frame; of control frames `data` is what follows the stream's number."""

    kind: int
    stream: int = 0
    flags: int = 0
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Decoder:
    """Cuts bytes, as they arrive, into frames."""

    def __init__(self) -> None:
        self._buffer = b""
        self._headers = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete. Raises ProtocolError."""
        self._buffer += data
        while len(self._buffer) >= 8:
            first, sizes = struct.unpack_from(">II", self._buffer)
            end = 8 + (sizes & 0xFFFFFF)
            if end > MAX_FRAME:
                raise ProtocolError(f"a frame of {end} bytes")
            if len(self._buffer) < end:
                return
            body, self._buffer = self._buffer[8:end], self._buffer[end:]
            yield self._frame(first, sizes >> 24, body)

    def _frame(self, first: int, flags: int, body: bytes) -> Frame:
        if first < 1 << 31:
            return Frame(DATA, first, flags, body)
        if first & 0xFFFF0000 != CONTROL or len(body) < 4:
            raise ProtocolError(f"no control frame of SPDY/3.1: {first:08x}")
        kind, stream = first & 0xFFFF, struct.unpack_from(">I", body)[0]
        if kind == PING:
            return Frame(kind, flags=flags, data=body)
        if kind in (SYN_STREAM, SYN_REPLY, HEADERS):
            return Frame(kind, stream & ID, flags, headers=self._inflate(body[10 if kind == SYN_STREAM else 4 :]))
        return Frame(kind, stream & ID, flags, body[4:])

    def _inflate(self, block: bytes) -> dict[str, str]:
        try:
            text = self._headers.decompress(block, MAX_HEADERS)
            return dict(_pairs(text))
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise ProtocolError(f"headers: {error}") from None


def _pairs(text: bytes) -> Iterator[tuple[str, str]]:
    count, at, found = struct.unpack_from(">I", text)[0], 4, []
    for _ in range(2 * count):
        size = struct.unpack_from(">I", text, at)[0]
        found.append(text[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return zip(found[::2], found[1::2], strict=True)


class Encoder:
    """Writes frames; one a connection, for headers are compressed over all of it."""

    def __init__(self) -> None:
        self._headers = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        """Return a frame as bytes."""
        if frame.kind == DATA:
            return struct.pack(">II", frame.stream, frame.flags << 24 | len(frame.data)) + frame.data
        body = frame.data if frame.kind == PING else struct.pack(">I", frame.stream)
        if frame.kind == SYN_STREAM:
            body += bytes(6)
        if frame.kind in (SYN_STREAM, SYN_REPLY):
            body += self._deflate(frame.headers)
        elif frame.kind != PING:
            body += frame.data
        return struct.pack(">II", CONTROL | frame.kind, frame.flags << 24 | len(body)) + body

    def _deflate(self, headers: dict[str, str]) -> bytes:
        pairs = b"".join(_sized(name.encode()) + _sized(value.encode()) for name, value in headers.items())
        text = struct.pack(">I", len(headers)) + pairs
        return self._headers.compress(text) + self._headers.flush(zlib.Z_SYNC_FLUSH)
