"""Whatever is sent, the API server answers with what is wrong: no 5xx, no hang, no memory that is never given back."""

import http.client
import json
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.glassbox import pki
from labkit.glassbox.apiserver import protobuf
from tests import fuzz, fuzz_custom
from tests.api_server import ADMIN

# Answers over 499 that upstream gives too.
ALLOWED = (
    "resourceVersion should not be set on objects to be created",
    "Too large resource version",
    "strconv.ParseUint",
    *("target.name: Required value", "target.kind: Unsupported value", "unable to find api field in struct"),
    *("does not contain declared merge key", "unknown patch type", "list element types are not identical"),
    *("expected a []interface {}", "The order in patch list", "failed to create typed patch object"),
)
SECONDS = 5  # that any answer may take, on a machine that does other things too


class Connection:
    """One kept connection to an API server."""

    def __init__(self, server):
        self.http = http.client.HTTPSConnection("127.0.0.1", server.port, context=server.tls, timeout=60)
        self.headers = {"Authorization": f"Bearer {pki.tokens(server.pki)[ADMIN]}"}

    def ask(self, method, path, body=None, media=""):
        headers = self.headers | ({"Content-Type": media} if media else {})
        self.http.request(method, path, body, headers)
        answer = self.http.getresponse()
        return answer.status, answer.read()


def memory(server):
    """Return the bytes that the server holds for itself."""
    lines = (Path("/proc") / str(server.process.pid) / "smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))


def fuzz_with(server, seeds, count):
    """Send `count` requests a seed; return those that the server failed at."""
    connection, failed = Connection(server), []
    for seed in seeds:
        connection.ask("DELETE", "/apis/policy/v1/namespaces/default/poddisruptionbudgets")
        for sent in islice(fuzz.requests(Random(seed), "default", fuzz.kinds()), count):
            began = time.monotonic()
            code, answer = connection.ask(*sent)
            told = answer.decode(errors="replace")
            if (code >= 500 and not any(words in told for words in ALLOWED)) or time.monotonic() - began > SECONDS:
                failed.append((seed, code, told[-300:], *sent))
    return failed


def test_a_few_hundred_strange_requests_are_answered(own_api_server):
    assert fuzz_with(own_api_server, [1], 600) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_thousand_strange_requests_are_answered_and_cost_no_memory(own_api_server):
    failed = fuzz_with(own_api_server, range(2, 6), 1000)
    before = memory(own_api_server)
    failed += fuzz_with(own_api_server, range(6, 22), 1000)
    assert failed == []
    assert memory(own_api_server) - before < 24 << 20


def fuzz_custom_with(server, seeds, count):
    """Make a definition a seed and send writes of its objects; return the answers that failed, and all by code."""
    connection, failed, codes = Connection(server), [], Counter()
    table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}

    def ask(seed, *sent):
        began = time.monotonic()
        code, answer = connection.ask(*sent)
        told = answer.decode(errors="replace")
        codes[sent[0], code] += 1
        if (code >= 500 and not any(words in told for words in ALLOWED)) or time.monotonic() - began > SECONDS:
            failed.append((seed, code, told[-300:], *sent))

    for seed in seeds:
        random = Random(seed)
        made = fuzz_custom.definition(random, seed)
        ask(seed, "POST", fuzz_custom.DEFINITIONS, json.dumps(made).encode(), "application/json")
        for sent in fuzz_custom.writes(random, made, count):
            ask(seed, *sent)
        connection.headers |= table
        ask(seed, "GET", f"/apis/{fuzz_custom.GROUP}/{fuzz_custom.VERSION}/{made['spec']['names']['plural']}")
        connection.headers.pop("Accept")
        ask(seed, "GET", f"/openapi/v3/apis/{fuzz_custom.GROUP}/{fuzz_custom.VERSION}")
        ask(seed, "DELETE", f"{fuzz_custom.DEFINITIONS}/{made['metadata']['name']}")
    return failed, codes


def test_strange_definitions_and_their_objects_are_answered(own_api_server):
    failed, codes = fuzz_custom_with(own_api_server, range(150), 4)
    assert failed == []
    assert codes["POST", 201] > 20


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_strange_definitions_and_their_objects_are_answered(own_api_server):
    assert fuzz_custom_with(own_api_server, range(1000, 2000), 8)[0] == []


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(fuzz.kinds()), st.binary(max_size=20), st.integers(0, 400))
def test_bytes_are_a_protobuf_message_or_a_value_error(random, resource, noise, at):
    body = fuzz.protobuf(random, resource) or protobuf.MAGIC
    for given_ in (body, body[:at] + noise + body[at + len(noise) :], protobuf.MAGIC + noise):
        try:
            json.dumps(protobuf.decode(given_))
        except ValueError:
            pass


# --- limits


@pytest.fixture
def connection(api_server):
    return Connection(api_server)


CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def nested(depth):
    return b'{"metadata":{"name":"deep"},"data":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


def billion_laughs():
    lines = ["a: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"b{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("body", "media", "code", "told"),
    [
        (nested(10_000), "json", 400, "exceeded max depth"),
        (nested(900), "json", 400, "cannot unmarshal object into Go struct field"),
        (b'{"metadata":{"name":"deep"},"data":' + b"[" * 3_000_000, "json", 400, "exceeded max depth"),
        (b"a: " + b"[" * 20_000 + b"]" * 20_000, "yaml", 400, "yaml: exceeded max depth of 1000"),
        (b"- " * 1_000_000, "yaml", 400, "yaml: exceeded max depth of 1000"),
        (billion_laughs(), "yaml", 400, "yaml: document contains excessive aliasing"),
        (b"a: &a [*a]", "yaml", 400, "yaml: document contains excessive aliasing"),
        (b"- a\n- b\n", "yaml", 400, "cannot unmarshal array into Go value"),
        (b"\xff\xfe\xff", "yaml", 400, "yaml: "),
        (b" " * (3 << 20) + b"{}", "json", 413, "Request entity too large: limit is 3145728"),
    ],
)
def test_a_body_beyond_a_limit_is_refused_by_its_name(connection, body, media, code, told):
    began = time.monotonic()
    answered, text = connection.ask("POST", CONFIGMAPS, body, f"application/{media}")
    assert (answered, told in json.loads(text)["message"]) == (code, True), text[:500]
    assert time.monotonic() - began < SECONDS


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_long(api_server):
    connection = Connection(api_server)
    headers = connection.headers | {"Content-Type": "application/json"}
    connection.http.request("POST", CONFIGMAPS, (b" " * 65536 for _ in range(64)), headers, encode_chunked=True)
    assert connection.http.getresponse().status == 413


def test_a_warning_that_no_header_can_hold_is_left_out(connection):
    body = b'{"metadata":{"name":"warned"},"\\u001f":1,"\\u0085":1,"nope":1}'
    path = f"{CONFIGMAPS}?dryRun=All"
    connection.http.request("POST", path, body, connection.headers | {"Content-Type": "application/json"})
    answer = connection.http.getresponse()
    assert (answer.status, answer.headers.get_all("Warning")) == (201, ['299 - "unknown field \\"nope\\""'])


def test_slow_clients_hold_up_nobody(api_server):
    """Twenty send a body a byte at a time, twenty never read their watch, and everybody else is served."""
    slow = []
    for number in range(40):
        each = Connection(api_server)
        each.http.putrequest("POST" if number % 2 else "GET", CONFIGMAPS + ("" if number % 2 else "?watch=1"))
        for header, value in each.headers.items():
            each.http.putheader(header, value)
        each.http.putheader("Content-Length", "1000" if number % 2 else "0")
        each.http.endheaders(b"{" if number % 2 else None)
        slow.append(each)
    quick = Connection(api_server)
    for _ in range(60):
        body = {"metadata": {"generateName": "big-"}, "data": {"k": "x" * 50_000}}
        began = time.monotonic()
        assert quick.ask("POST", CONFIGMAPS, json.dumps(body), "application/json")[0] == 201
        assert time.monotonic() - began < SECONDS
    for each in slow:
        each.http.close()


@pytest.mark.slow
def test_five_hundred_idle_watches_are_carried(own_api_server):
    server = own_api_server
    before, watching = memory(server), []
    for _ in range(500):
        each = Connection(server)
        each.http.request("GET", CONFIGMAPS + "?watch=1", headers=each.headers)
        watching.append(each.http.getresponse())
    assert memory(server) - before < 500 * (128 << 10)
    Connection(server).ask("POST", CONFIGMAPS, b'{"metadata":{"name":"seen"}}', "application/json")
    assert all(json.loads(each.readline())["object"]["metadata"]["name"] == "seen" for each in watching)
