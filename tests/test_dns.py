"""Names: what is known of them, and how questions and answers look on the wire."""

import asyncio
import random
import socket
import struct
from types import SimpleNamespace

import pytest

from labkit.glassbox.dns import wire
from labkit.glassbox.dns.forwarder import Forwarder
from labkit.glassbox.dns.server import Server
from labkit.glassbox.dns.zone import Zone


class Copy:
    """What an informer holds."""

    def __init__(self, *objects):
        self.version, self.handlers, self.objects = "7", [], {}
        self.start = objects

    def get(self, key):
        return self.objects.get(key)

    def tell(self, type, obj):
        key = "/".join(filter(None, [obj["metadata"].get("namespace"), obj["metadata"]["name"]]))
        self.objects[key] = obj
        for handler in self.handlers:
            handler(type, obj)


def service(name, ip="10.96.0.9", **spec):
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    return {"metadata": {"namespace": "shop", "name": name}, "spec": {"clusterIP": ip, "ports": ports, **spec}}


def endpoints(name, *endpoints):
    return {
        "metadata": {"namespace": "shop", "name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


@pytest.fixture
def names():
    """A name server of a few services, and its copies."""
    cache = {name: Copy() for name in ("services", "endpointslices", "namespaces")}
    zone = Zone("cluster.local", cache, {"outside.example": "203.0.113.10"})
    cache["namespaces"].tell("ADDED", {"metadata": {"name": "shop"}})
    for each in (
        service("web"),
        service("db", "None"),
        service("idle", "None"),
        service("far", "", type="ExternalName", externalName="Outside.example."),
        service("near", "", type="ExternalName", externalName="web.shop.svc.cluster.local"),
        service("lost", "", type="ExternalName", externalName="www.nowhere.example"),
        service("ring", "", type="ExternalName", externalName="ring.shop.svc.cluster.local"),
    ):
        cache["services"].tell("ADDED", each)
    one, two = {"addresses": ["10.244.1.5"], "hostname": "db-0"}, {"addresses": ["10.244.2.6"]}
    starting = {"addresses": ["10.244.2.7"], "conditions": {"ready": False}}
    cache["endpointslices"].tell("ADDED", endpoints("db", one, two, starting))
    cache["endpointslices"].tell("ADDED", endpoints("web", two))
    return SimpleNamespace(server=Server(zone), **cache)


def ask(names, name, kind=wire.A):
    """Return code and records' data, in words."""
    answer = names.server.answer(wire.ask(9, name, kind), wire.LARGEST_UDP)
    return decoded(answer)


def decoded(answer):
    id, flags, questions, answers, authorities, _ = struct.unpack_from("!6H", answer)
    at, told = 12, []
    for _ in range(questions):
        at = wire.read_name(answer, at)[1] + 4
    for _ in range(answers + authorities):
        _, at = wire.read_name(answer, at)
        kind, _, ttl, length = struct.unpack_from("!HHIH", answer, at)
        at += 10
        told.append(_words(answer, at, kind, length))
        at += length
    return flags & 0xF, told


def _words(answer, at, kind, length):
    data = answer[at : at + length]
    if kind == wire.A:
        return socket.inet_ntoa(data)
    if kind == wire.SRV:
        _, weight, port = struct.unpack_from("!HHH", data)
        return f"{weight} {port} {wire.read_name(answer, at + 6)[0]}"
    if kind == wire.SOA:
        return f"SOA {wire.read_name(answer, at)[0]}"
    return data[1:].decode() if kind == wire.TXT else wire.read_name(answer, at)[0]


END = ["SOA ns.dns.cluster.local"]


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("web.shop.svc.cluster.local", wire.A, ["10.96.0.9"]),
        ("WEB.Shop.svc.cluster.local.", wire.A, ["10.96.0.9"]),
        ("db.shop.svc.cluster.local", wire.A, ["10.244.1.5", "10.244.2.6"]),
        ("db-0.db.shop.svc.cluster.local", wire.A, ["10.244.1.5"]),
        ("10-244-2-6.db.shop.svc.cluster.local", wire.A, ["10.244.2.6"]),
        ("10-244-1-5.shop.pod.cluster.local", wire.A, ["10.244.1.5"]),
        ("_http._tcp.web.shop.svc.cluster.local", wire.SRV, ["100 80 web.shop.svc.cluster.local"]),
        (
            "_http._tcp.db.shop.svc.cluster.local",
            wire.SRV,
            ["50 8080 db-0.db.shop.svc.cluster.local", "50 8080 10-244-2-6.db.shop.svc.cluster.local"],
        ),
        ("far.shop.svc.cluster.local", wire.A, ["outside.example", "203.0.113.10"]),
        ("near.shop.svc.cluster.local", wire.A, ["web.shop.svc.cluster.local", "10.96.0.9"]),
        ("lost.shop.svc.cluster.local", wire.A, ["www.nowhere.example"]),
        ("9.0.96.10.in-addr.arpa", wire.PTR, ["web.shop.svc.cluster.local"]),
        ("5.1.244.10.in-addr.arpa", wire.PTR, ["db-0.db.shop.svc.cluster.local"]),
        ("10.113.0.203.in-addr.arpa", wire.PTR, ["outside.example"]),
        ("outside.example", wire.A, ["203.0.113.10"]),
        ("dns-version.cluster.local", wire.TXT, ["1.1.0"]),
        ("cluster.local", wire.SOA, END),
    ],
)
def test_a_name_is_answered(names, name, kind, told):
    assert ask(names, name, kind) == (wire.NOERROR, told)


@pytest.mark.parametrize("name", ["web.shop.svc", "shop.svc", "svc", "outside"])
def test_a_name_that_has_no_such_record_is_an_empty_answer(names, name):
    full = "outside.example" if name == "outside" else f"{name}.cluster.local"
    kind = wire.AAAA if name in ("web.shop.svc", "outside") else wire.A
    code, told = ask(names, full, kind)
    assert code == wire.NOERROR
    assert told[0].startswith("SOA")


@pytest.mark.parametrize(
    "name",
    [
        "nobody.shop.svc.cluster.local",
        "web.nowhere.svc.cluster.local",
        "idle.shop.svc.cluster.local",
        "db-7.db.shop.svc.cluster.local",
        "10-244-2-7.db.shop.svc.cluster.local",
        "10-244-1-5.nowhere.pod.cluster.local",
        "web.shop.pod.cluster.local",
        "_smtp._tcp.web.shop.svc.cluster.local",
        "a.b.c.web.shop.svc.cluster.local",
        "shop.cluster.local",
        "www.python.example",
        "9.9.96.10.in-addr.arpa",
    ],
)
def test_a_name_that_does_not_exist_is_denied_for_a_while(names, name):
    code, [authority] = ask(names, name)
    assert code == wire.NXDOMAIN
    assert authority.startswith("SOA")


def test_aliases_in_a_ring_end(names):
    assert ask(names, "ring.shop.svc.cluster.local")[0] == wire.SERVFAIL


def test_names_follow_what_changes(names):
    names.endpointslices.tell("MODIFIED", endpoints("db", {"addresses": ["10.244.1.8"]}))
    assert ask(names, "db.shop.svc.cluster.local")[1] == ["10.244.1.8"]
    assert ask(names, "8.1.244.10.in-addr.arpa", wire.PTR)[1] == ["10-244-1-8.db.shop.svc.cluster.local"]
    assert ask(names, "5.1.244.10.in-addr.arpa", wire.PTR)[0] == wire.NXDOMAIN
    names.endpointslices.tell("DELETED", endpoints("db"))
    assert ask(names, "db.shop.svc.cluster.local")[0] == wire.NXDOMAIN


def test_an_answer_that_does_not_fit_says_so_and_fits_by_tcp(names):
    many = [{"addresses": [f"10.244.3.{n}"]} for n in range(1, 201)]
    names.endpointslices.tell("MODIFIED", endpoints("db", *many))
    question = wire.ask(9, "db.shop.svc.cluster.local", wire.A)
    short = names.server.answer(question, wire.LARGEST_UDP)
    assert struct.unpack_from("!H", short, 2)[0] & wire.TRUNCATED
    assert len(short) <= wire.PLAIN_SIZE
    assert len(decoded(names.server.answer(question, wire.LARGEST))[1]) == 200


def test_a_client_says_how_much_it_takes(names):
    many = [{"addresses": [f"10.244.3.{n}"]} for n in range(1, 61)]
    names.endpointslices.tell("MODIFIED", endpoints("db", *many))
    question = bytearray(wire.ask(9, "db.shop.svc.cluster.local", wire.A))
    question[11] = 1  # one more record: EDNS, with 1232 bytes
    question += b"\0" + struct.pack("!HHIH", wire.OPT, 1232, 0, 0)
    answer = names.server.answer(bytes(question), wire.LARGEST_UDP)
    assert len(decoded(answer)[1]) == 60
    assert wire.PLAIN_SIZE < len(answer) <= 1232


def test_the_question_comes_back_as_it_was_written(names):
    answer = names.server.answer(wire.ask(9, "wEb.shop.svc.cluster.local", wire.A), wire.LARGEST_UDP)
    assert b"\3wEb" in answer


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (wire.ask(9, "web.shop.svc.cluster.local", wire.ANY), wire.NOTIMP),
        (b"\0\1\x28\0" + wire.ask(9, "a", wire.A)[4:], wire.NOTIMP),  # an update
        (wire.ask(9, "a", wire.A)[:-1] + b"\3", wire.REFUSED),  # of class CHAOS
        (wire.ask(9, "a", wire.A)[:-3], wire.FORMERR),
        (wire.ask(9, "a", wire.A)[:12] + b"\xc0\x0c\0\1\0\1", wire.FORMERR),  # a name that points at itself
        (b"\0\1\1\0\0\2" + wire.ask(9, "a", wire.A)[6:], wire.FORMERR),  # two questions
    ],
)
def test_what_is_no_question_for_us_is_refused(names, data, code):
    assert decoded(names.server.answer(data, wire.LARGEST_UDP))[0] == code


@pytest.mark.parametrize("data", [b"", b"hello", b"\0\1\x80\0" + b"\0" * 8])
def test_what_deserves_no_answer_gets_none(names, data):
    assert names.server.answer(data, wire.LARGEST_UDP) is None


def test_garbage_disturbs_nothing(names):
    chance = random.Random(4)
    good = wire.ask(9, "db.shop.svc.cluster.local", wire.SRV)
    for _ in range(3000):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        names.server.answer(bytes(bad[: chance.randrange(1, len(bad) + 1)]), wire.LARGEST_UDP)
        names.server.answer(chance.randbytes(chance.randrange(80)), wire.LARGEST_UDP)
    assert ask(names, "web.shop.svc.cluster.local") == (wire.NOERROR, ["10.96.0.9"])


def test_other_names_are_asked_of_the_hosts_server_where_that_is_wanted(names):
    async def asked():
        host, upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), Upstream()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: upstream, ("127.0.0.1", 0))
        names.server.forwarder = Forwarder(host, ["127.0.0.1"], transport.get_extra_info("sockname")[1])
        question = wire.read(wire.ask(9, "lost.shop.svc.cluster.local", wire.A))
        assert names.server.answer(wire.ask(9, question.name, wire.A), wire.LARGEST_UDP) == question
        answer = await names.server._from_host(question, wire.LARGEST_UDP)
        loop.remove_reader(host)
        host.close()
        transport.close()
        return upstream.heard, answer

    heard, answer = asyncio.run(asked())
    assert heard == ["www.nowhere.example"]
    assert decoded(answer) == (wire.NOERROR, ["www.nowhere.example", "192.0.2.7"])


class Upstream(asyncio.DatagramProtocol):
    """A name server that knows one address for every name."""

    def __init__(self):
        self.heard = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, client):
        question = wire.read(data)
        self.heard.append(question.name)
        record = wire.Record(question.name, wire.A, 60, wire.address("192.0.2.7"))
        self.transport.sendto(wire.write(question, wire.Answer(records=[record]), limit=512), client)
