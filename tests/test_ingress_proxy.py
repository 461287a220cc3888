"""Ingress without a cluster: which backend a request has, and what a proxy may make of a message."""

import asyncio

import pytest

from labkit.glassbox.ingress import http1, routes
from labkit.glassbox.ingress.certificates import wanted


def ingress(*rules, name="web", default=None, **spec):
    """An Ingress; a rule is (host, path, type, service)."""
    listed = [
        {"host": host, "http": {"paths": [{"path": path, "pathType": kind, "backend": backend(service)}]}}
        for host, path, kind, service in rules
    ]
    more = {"defaultBackend": backend(default)} if default else {}
    metadata = {"namespace": "shop", "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": {"rules": listed, **more, **spec}}


def backend(service, **port):
    return {"service": {"name": service, "port": port or {"number": 80}}}


def leads_to(given, host, path):
    found = routes.find(routes.table([given], {}, []), host, path)
    return found and found.service.removeprefix("shop/")


@pytest.mark.parametrize(
    ("kind", "rule", "path", "fits"),
    [
        ("Prefix", "/", "/any", True),
        ("Exact", "/foo", "/foo", True),
        ("Exact", "/foo", "/foo/", False),
        ("Exact", "/foo/", "/foo", False),
        ("Prefix", "/foo", "/foo/", True),
        ("Prefix", "/foo/", "/foo", True),
        ("Prefix", "/aaa/bb", "/aaa/bbb", False),
        ("Prefix", "/aaa/bbb/", "/aaa/bbb", True),
        ("Prefix", "/aaa/bbb", "/aaa/bbb/ccc", True),
        ("ImplementationSpecific", "/foo", "/foo/bar", True),
        ("Prefix", "/foo", "/FOO", False),
    ],
)
def test_a_path_fits_as_upstreams_table_says(kind, rule, path, fits):
    assert (leads_to(ingress(("a.example", rule, kind, "s")), "a.example", path) == "s") is fits


def test_the_longest_path_goes_first_and_of_two_as_long_the_exact_one():
    given = ingress(
        ("", "/", "Prefix", "root"),
        ("", "/a/b", "Prefix", "below"),
        ("", "/a", "Prefix", "a"),
        ("", "/a", "Exact", "x"),
    )
    assert [leads_to(given, "h", path) for path in ("/z", "/a/b/c", "/a/c", "/a")] == ["root", "below", "a", "x"]


def test_what_no_rule_takes_goes_to_the_default_backend():
    given = ingress(("a.example", "/a", "Prefix", "a"), default="other")
    assert [leads_to(given, "a.example", "/b"), leads_to(given, "x", "/a")] == ["other", "other"]
    assert leads_to(ingress(("a.example", "/a", "Prefix", "a")), "x", "/a") is None


def test_only_the_ingresses_of_its_classes_are_a_controllers():
    classes = [{"metadata": {"name": "own"}, "spec": {"controller": routes.CONTROLLER}},
               {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}]  # fmt: skip
    old = ingress(name="old")
    old["metadata"]["annotations"] = {routes.OLD_CLASS: "own"}
    given = [ingress(name="a", ingressClassName="own"), ingress(name="b", ingressClassName="nginx"), ingress(), old]
    assert [each["metadata"]["name"] for each in routes.owned(given, classes)] == ["a", "old"]


def test_a_backend_is_what_is_ready_behind_the_services_port():
    service = {"metadata": {"namespace": "shop", "name": "s"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
    slice_ = {
        "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.244.1.5"]}, {"addresses": ["10.244.1.6"], "conditions": {"ready": False}}],
        "ports": [{"name": "http", "port": 8080}],
    }
    [route] = routes.table([ingress(default="s")], {"shop/s": service}, [slice_])
    assert [each.where for each in route.backend.endpoints] == ["10.244.1.5:8080"]


def test_a_backend_that_cannot_be_served_says_why():
    services = {
        "shop/far": {"metadata": {}, "spec": {"type": "ExternalName"}},
        "shop/s": {"metadata": {}, "spec": {"ports": [{"port": 81}]}},
    }
    [missing], [far], [other] = (routes.table([ingress(default=each)], services, []) for each in ("m", "far", "s"))
    assert missing.backend.fault == 'services "m" not found'
    assert far.backend.fault == 'service "far" of type ExternalName is not implemented by this controller'
    assert other.backend.fault == 'service "s" has no port 80'


def test_tls_without_hosts_is_for_those_of_the_rules():
    given = ingress(("a.example", "/", "Prefix", "s"), tls=[{"secretName": "cert"}])
    assert [(each.host, each.secret) for each in wanted([given])] == [("a.example", "shop/cert")]


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Content-Length: +1",
        "Content-Length : 1",
        "Transfer-Encoding: gzip, chunked",
        "A: b\r\n folded",
    ],
)
def test_a_message_that_could_be_read_in_two_ways_is_refused(lines):
    with pytest.raises(http1.Malformed):
        http1.parse(f"POST / HTTP/1.1\r\n{lines}\r\n\r\n".encode()).request_length()


def test_what_concerns_one_connection_alone_is_not_passed_on():
    head = http1.parse(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: 5\r\n\r\n")
    assert head.passed_on([("Connection", "close")]) == b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Sink:
    """A writer that keeps what it is given."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data

    async def drain(self):
        pass


def passed_on(data, length):
    async def run():
        source, sink = asyncio.StreamReader(), Sink()
        source.feed_data(data)
        source.feed_eof()
        await http1.pass_on(source, sink, length)
        return sink.data, await source.read()

    return asyncio.run(run())


def test_a_body_ends_where_its_length_or_its_last_chunk_says():
    chunked = b"3;x=y\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n"
    assert passed_on(chunked + b"GET", http1.CHUNKED) == (chunked, b"GET")
    assert passed_on(b"abcGET", 3) == (b"abc", b"GET")
    assert passed_on(b"abc", http1.TO_THE_END) == (b"abc", b"")


@pytest.mark.parametrize("cut", [b"3\r\nab", b"3\r\nabc\r\n", b"zz\r\n", b"-1\r\n"])
def test_a_body_that_is_cut_off_or_garbled_is_no_end(cut):
    with pytest.raises((asyncio.IncompleteReadError, http1.Malformed)):
        passed_on(cut, http1.CHUNKED)
