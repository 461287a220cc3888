"""The frames of SPDY/3.1."""

import zlib

import pytest
from aiohttp.test_utils import make_mocked_request

from labkit.glassbox.apiserver.spdy_client import VERSION, negotiated
from labkit.glassbox.errors import ApiError
from labkit.glassbox.spdy import (
    DATA,
    DICTIONARY,
    FIN,
    PING,
    SYN_REPLY,
    SYN_STREAM,
    Decoder,
    Encoder,
    Frame,
    ProtocolError,
)

SENT = [
    Frame(SYN_STREAM, 1, headers={"streamtype": "error", "port": "8080", "requestid": "0"}),
    Frame(SYN_STREAM, 3, headers={"streamtype": "data", "port": "8080", "requestid": "0"}),
    Frame(SYN_REPLY, 3),
    Frame(DATA, 1, FIN),
    Frame(DATA, 3, data=b"x" * 70_000),
    Frame(PING, data=b"\0\0\0\1"),
]


def test_the_dictionary_is_the_specifications():
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2  # stands at the head of every compressed stream


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_frames_come_out_as_they_went_in_however_they_were_cut(size):
    encoder, decoder = Encoder(), Decoder()
    text = b"".join(map(encoder.encode, SENT))
    got = [frame for at in range(0, len(text), size) for frame in decoder.feed(text[at : at + size])]
    assert got == SENT


@pytest.mark.parametrize(
    "text", [b"GET / HTTP/1.1\r\nHost", b"\x80\x02\0\1\0\0\0\0", b"\x80\x03\0\1\0\0\0\x0b" + b"?" * 11]
)
def test_what_is_no_spdy_is_told(text):
    with pytest.raises(ProtocolError):
        list(Decoder().feed(text))


def test_who_speaks_another_protocol_is_told_which_is_spoken():
    asking = make_mocked_request("POST", "/", headers={VERSION: "v3.channel.k8s.io, channel.k8s.io"})
    told = r"client supports \[v3.channel.k8s.io channel.k8s.io\], server accepts \[v4.channel.k8s.io\]"
    with pytest.raises(ApiError, match=told):
        negotiated(asking, "exec")
