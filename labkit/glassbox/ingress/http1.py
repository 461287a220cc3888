"""HTTP/1.1 as a proxy needs it: a message's head is read, its body is passed on as it comes.

Nothing of a body is held, decoded or waited for, so that streams stream. What two servers could read in two ways (two
lengths, a space before a colon, a folded line) is refused: else one request could be smuggled in another's body.

Upstream: RFC 9112
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass

CHUNK = 64 * 1024  # bytes
CHUNKED, TO_THE_END = -1, -2  # lengths of bodies that say their end by themselves, or by the connection's
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FORBIDDEN = re.compile(r"[\x00\r\n]")
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "upgrade"}
NO_BODY = (204, 304)


class Malformed(Exception):
    """A message that is not HTTP/1.1."""


@dataclass(frozen=True)
class Head:
    """A message's first line, in its three parts, and its headers."""

    first: tuple[str, str, str]
    headers: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name]

    def get(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def words(self, name: str) -> set[str]:
        """Return the elements of a header that is a list, in lower case."""
        return {word.strip().lower() for value in self.all(name) for word in value.split(",")} - {""}

    @property
    def upgrade(self) -> str:
        """What other protocol is asked for or agreed to."""
        return self.get("upgrade") if "upgrade" in self.words("connection") else ""

    def request_length(self) -> int:
        """Return the body's length. Raises Malformed."""
        return self._length(0)

    def answer_length(self, method: str) -> int:
        """Return the length of the body of an answer. Raises Malformed."""
        code = self.status
        return 0 if method == "HEAD" or code < 200 or code in NO_BODY else self._length(TO_THE_END)

    @property
    def status(self) -> int:
        if not re.fullmatch(r"[1-9]\d\d", self.first[1]):
            raise Malformed(f"status {self.first[1]}")
        return int(self.first[1])

    def _length(self, otherwise: int) -> int:
        coding, lengths = self.all("transfer-encoding"), set(self.all("content-length"))
        if coding:
            if lengths or [each.lower() for each in coding] != ["chunked"]:
                raise Malformed("transfer-encoding")
            return CHUNKED
        if not lengths:
            return otherwise
        [length, *more] = lengths
        if more or not re.fullmatch(r"\d{1,18}", length, re.ASCII):
            raise Malformed("content-length")
        return int(length)

    def passed_on(self, more: Iterable[tuple[str, str]], without: Iterable[str] = ()) -> bytes:
        """Return the head as the other side gets it: without what concerns this connection alone."""
        dropped = {*HOP_BY_HOP, *self.words("connection"), *without}
        kept = [(name, value) for name, value in self.headers if name.lower() not in dropped]
        lines = [" ".join(self.first), *(f"{name}: {value}" for name, value in [*kept, *more])]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Return the next message's head, None where the other side has ended instead. Raises Malformed."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial.strip():
            raise Malformed("the head is cut off") from None
        return None
    except asyncio.LimitOverrunError:
        raise Malformed("the head is too long") from None
    return parse(raw)


def parse(raw: bytes) -> Head:
    """Return a head. Raises Malformed."""
    first, *lines = raw.decode("latin-1").lstrip("\r\n").split("\r\n")[:-2]
    words = [*first.split(" ", 2), ""]  # an answer need not say its reason
    if len(words) < 3:
        raise Malformed(first)
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not TOKEN.fullmatch(name) or FORBIDDEN.search(value):
            raise Malformed(f"header {name!r}")
        headers.append((name, value.strip(" \t")))
    return Head((words[0], words[1], words[2]), tuple(headers))


async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, length: int) -> None:
    """Pass a body on, no faster than the target takes it. Raises IncompleteReadError where it is cut off."""
    if length == CHUNKED:
        await _chunks(source, target)
    while length == TO_THE_END or length > 0:
        data = await source.read(CHUNK if length == TO_THE_END else min(length, CHUNK))
        if not data:
            if length == TO_THE_END:
                return
            raise asyncio.IncompleteReadError(b"", length)
        target.write(data)
        await target.drain()
        length -= len(data) if length > 0 else 0


async def _chunks(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while True:
        line = await _line(source)
        size = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size):
            raise Malformed("chunk size")
        target.write(line)
        if int(size, 16) == 0:
            break
        await pass_on(source, target, int(size, 16))
        if await source.readexactly(2) != b"\r\n":
            raise Malformed("chunk")
        target.write(b"\r\n")
    while line != b"\r\n":  # trailers
        line = await _line(source)
        target.write(line)
    await target.drain()


async def _line(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.readuntil(b"\r\n")
    except asyncio.LimitOverrunError:
        raise Malformed("line") from None
