"""Answers as bytes: whole, partial, wrong."""

import errno
import socket
import ssl

import pytest

from labkit.loadtest.http1 import Malformed, Target, kind_of, parse

HEAD = b"HTTP/1.1 200 OK\r\nX-Pod: a\r\n"


def test_a_body_of_known_length_is_whole_when_it_is_there():
    whole = HEAD + b"Content-Length: 4\r\n\r\nbody"
    assert parse(whole, at_end=False).body == b"body"
    assert [parse(whole[:n], at_end=False) for n in range(len(whole))] == [None] * len(whole)


def test_chunks_are_joined_and_wait_for_the_last():
    whole = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    assert parse(whole, at_end=False).body == b"abcde"
    assert [parse(whole[:n], at_end=False) for n in range(len(whole))] == [None] * len(whole)


def test_a_body_without_a_length_ends_with_its_connection():
    assert parse(HEAD + b"\r\nsome", at_end=False) is None
    assert parse(HEAD + b"\r\nsome", at_end=True).body == b"some"


def test_headers_are_found_by_lower_case_names():
    answer = parse(HEAD + b"Content-Length:0\r\n\r\n", at_end=False)
    assert answer.headers == {"x-pod": "a", "content-length": "0"}


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH\r\n", b"\x15\x03\x01", b"HTTP/2"])
def test_what_is_not_http_is_malformed(data):
    with pytest.raises(Malformed):
        parse(data, at_end=False)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(-2, "Name or service not known"), "dns"),
        (ssl.SSLCertVerificationError("self-signed"), "tls"),
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), "refused"),
        (ConnectionResetError(), "reset"),
        (ConnectionError(errno.EPIPE, ""), "closed"),
        (OSError(errno.EHOSTUNREACH, ""), "unreachable"),
        (OSError(errno.EMFILE, ""), "files"),
        (TimeoutError(), "timeout"),
        (Malformed(), "malformed"),
        (KeyError(), "KeyError"),
    ],
)
def test_every_error_has_a_kind(error, kind):
    assert kind_of(error) == kind


def test_a_request_names_host_path_and_query():
    assert Target("http://u@web:81/a?b=c").request(keep=True).startswith(b"GET /a?b=c HTTP/1.1\r\nHost: web:81\r\n")
