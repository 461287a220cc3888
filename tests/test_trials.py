"""Trials: the visitor against a server that fails to order; what faults plan; a rubric's mistakes by name."""

import contextlib
import json
import re
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labkit import rubric
from labkit.checks import State, judge_trial
from labkit.errors import ApiFailure, RubricError
from labkit.rubric import Item
from labkit.trials import claims, visitor
from labkit.trials.faults import Faults, as_stored, is_liveness, is_rolled_out, reverse, without_address
from labkit.trials.visitor import Load, ask_all
from tests.embedded import eventually

# --- the visitor ----------------------------------------------------------


class Told(BaseHTTPRequestHandler):
    """Answers as its path says: /200, /503, /close, /silent, /drip, /flood, /name/a."""

    def do_GET(self):
        word = self.path.strip("/").split("/")
        if word[0] == "silent":
            self.server.silence.wait(10)
        if word[0] in ("close", "silent"):
            return
        self.send_response(int(word[0]) if word[0].isdigit() else 200)
        self.end_headers()
        if word[0] in ("drip", "flood"):
            self.pour(*((b".", 0.05) if word[0] == "drip" else (bytes(1 << 20), 0)))
            return
        who = sorted(self.headers.items())
        self.wfile.write(f"served by {word[-1]}, {self.headers.get('X-Word', '')} for {who}".encode())

    def do_POST(self):
        self.do_GET()

    def pour(self, piece, pause):
        """Answer without end, a piece at a time."""
        with contextlib.suppress(OSError):
            while not self.server.silence.wait(pause):
                self.wfile.write(piece)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    told = ThreadingHTTPServer(("127.0.0.1", 0), Told)
    told.silence = threading.Event()
    threading.Thread(target=told.serve_forever).start()
    yield f"http://127.0.0.1:{told.server_port}"
    told.silence.set()
    told.shutdown()
    told.server_close()


def test_requests_that_are_answered_well_are_counted(server):
    told = ask_all({"url": f"{server}/name/a", "times": 3, "finds": r"served by (\w)"})
    assert told == {
        "sent": 3, "failed": 0, "share": 0.0, "seen": ["a"], "distinct": 1, "said": "3 of 3 requests answered well"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "kind"),
    [
        ({"path": "/503"}, "HTTP 503"),
        ({"path": "/200", "status": [403]}, "HTTP 200"),
        ({"path": "/close"}, "connection closed without an answer"),
        ({"path": "/silent", "timeout": 0.2}, "no answer within 0.2 s"),
        ({"path": "/drip", "timeout": 0.2}, "no answer within 0.2 s"),
        ({"path": "/flood", "contains": "zebra"}, "an answer without 'zebra'"),
        ({"path": "/name/a", "contains": "zebra"}, "an answer without 'zebra'"),
        ({"path": "/503", "headers": {"X-Word": "sésamo €"}}, "HTTP 503"),
        ({"path": "/200", "headers": {"X-Word": "a\nb"}}, "Invalid header value b'a\\nb'"),
        ({"path": "/name/a", "lacks": "by a"}, "an answer with 'by a'"),
    ],
)
def test_a_failure_is_told_by_its_kind(server, plan, kind):
    told = ask_all({"url": server + plan.pop("path"), **plan})
    assert told["said"] == f"1 of 1 requests failed: {kind} (1)"


def test_who_asks_for_a_check_is_not_to_be_told_from_a_visitor(server):
    told = ask_all({"url": f"{server}/name/a", "finds": "for (.*)"})
    with urllib.request.urlopen(f"{server}/name/a") as answer:
        (theirs,) = re.findall("for (.*)", answer.read().decode())
    assert told["seen"] == [re.sub(r"urllib/3\.\d+", "urllib/3", theirs)]


def test_nobody_at_all_and_no_such_name_are_kinds_of_failure():
    with ThreadingHTTPServer(("127.0.0.1", 0), Told) as gone:
        port = gone.server_port
    assert ask_all({"url": f"http://127.0.0.1:{port}/"})["said"].endswith("connection refused (1)")
    assert ask_all({"url": "http://no-such-name.invalid/"})["said"].endswith("DNS knows no no-such-name.invalid (1)")


def test_with_a_time_to_wait_it_asks_again_until_all_is_well(server):
    answers = iter([("HTTP 503", ""), ("", "well")])
    once, visitor.ask = visitor.ask, lambda plan: next(answers)
    try:
        assert ask_all({"url": server, "within": 10})["failed"] == 0
    finally:
        visitor.ask = once


def test_a_load_keeps_its_rate_though_nobody_answers(server):
    load = Load({"url": f"{server}/silent", "rate": 100, "timeout": 0.5})
    eventually(lambda: len(load.answers) >= 5)  # these waited half a second each: others went out meanwhile
    told = load.stop()
    assert told["failed"] == told["sent"] > 20


def test_in_its_pod_it_takes_a_line_and_answers_a_line(server):
    lines = [{"load": {"url": f"{server}/200", "rate": 50}}, {"url": f"{server}/503"}, {"stop": True}]
    told = "".join(json.dumps(line) + "\n" for line in lines)
    run = subprocess.run([sys.executable, "-c", Path(visitor.__file__).read_text()], input=told,
                         capture_output=True, text=True, check=True, timeout=30)  # fmt: skip
    started, asked, stopped = map(json.loads, run.stdout.splitlines())
    assert (started, asked["failed"], stopped["failed"]) == ({}, 1, 0)


# --- faults ----------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "done"),
    [
        ("Deployment", {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}, True),
        ("Deployment", {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}, False),
        ("Deployment", {"observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 2}, False),
        ("StatefulSet", {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 0}, False),
        ("ReplicaSet", {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2}, True),
        ("DaemonSet", {"observedGeneration": 2, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1}, False),
    ],
)
def test_rolled_out_means_exactly_the_pods_of_the_newest_template(kind, status, done):
    owner = {"kind": kind, "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}
    assert is_rolled_out(owner) is done


def test_a_change_is_taken_back_by_what_was_there_before_and_null_where_nothing_was():
    obj = {"data": {"TITLE": "old", "KEPT": "as it is"}}
    assert reverse({"data": {"TITLE": "new", "MORE": "x"}}, obj) == {"data": {"TITLE": "old", "MORE": None}}


class Forbids:
    """An API that lets nothing be seen."""

    def get(self, *_):
        return None

    def items(self, *_):
        raise ApiFailure({"code": 403, "message": "horizontalpodautoscalers.autoscaling is forbidden"})


def test_who_may_not_see_autoscalers_may_try_a_service_all_the_same():
    assert Faults(Forbids(), "n", 1)._autoscalers({"kind": "Deployment", "metadata": {"name": "web"}}) == []


def test_a_secret_is_changed_in_the_form_in_which_it_can_be_put_back():
    change = as_stored({"stringData": {"PASSWORD": "new"}})
    assert change == {"data": {"PASSWORD": "bmV3"}}
    assert reverse(change, {"data": {"PASSWORD": "b2xk"}}) == {"data": {"PASSWORD": "b2xk"}}


@pytest.mark.parametrize("address", ["None", "10.96.0.7"])
def test_a_service_made_anew_gets_another_address_unless_it_has_none(address):
    made = without_address({"spec": {"clusterIP": address, "ports": []}})
    assert made["spec"] == ({"clusterIP": "None", "ports": []} if address == "None" else {"ports": []})


# --- what an item makes of it ----------------------------------------------------------

ITEM = Item("x", "perturb", "equals", 0, trial="t", path=".page.failed")


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        ({"page": {"failed": 0, "said": "all well"}}, State.RIGHT, "all well"),
        ({"page": {"failed": 2, "said": "2 failed"}}, State.WRONG, "2 failed"),
        ({"trouble": "Deployment web is not rolled out"}, State.WRONG, "Deployment web is not rolled out"),
        ({"trouble": "no pods with tier=web", "nothing": True}, State.NOT_TRIED, "no pods with tier=web"),
    ],
)
def test_an_item_reads_what_its_trial_found_or_why_it_found_nothing(found, state, said):
    finding = judge_trial(ITEM, {"kind": "Trial", "metadata": {"name": "t"}, **found})
    assert (finding.state, finding.found) == (state, said)


# --- rubrics with trials ----------------------------------------------------------

RUBRIC = """
lesson: "97"
exercises:
  "97.1":
    title: A page
    trials:
      seen:
        about: looking
        steps:
          - {ask: page, url: "http://web/"}
    items:
      - {name: it is there, type: traffic, trial: seen, path: .page.failed, operator: equals, value: 0}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trial: seen", "trial: sen", r"97_x.yaml:12: .*no trial named 'sen'; this exercise has: seen"),
        ("type: traffic", "type: perturb", r"type: an item that reads the trial seen is of type traffic"),
        ('{ask: page, url: "http://web/"}', "{kil: tier=web}", r"97_x.yaml:10: .*steps\.0: .*kil"),
        ('url: "http://web/"', 'urll: "http://web/"', r"97_x.yaml:10: .*urll"),
        ("about: looking", "abuot: looking", r"abuot"),
    ],
)
def test_a_mistake_in_a_trial_is_named_by_file_line_and_field(tmp_path, old, new, message):
    path = tmp_path / "97_x.yaml"
    path.write_text(RUBRIC.replace(old, new, 1))
    with pytest.raises(RubricError, match=message):
        rubric.load(path)


# --- where a note lies, who restarted a pod ----------------------------------------------------------


def mounting(*claims):
    volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    return {"spec": {"nodeName": "node2", "volumes": [{"name": "v", "emptyDir": {}}, *volumes]}}


def test_the_claims_of_pods_are_read_on_their_node_and_not_written_to():
    assert claims.claims_of([mounting("b"), mounting("a", "b"), {"spec": {}}]) == ["a", "b"]
    spec = claims.looker(["a", "b"], "n1", "node2")["spec"]
    assert spec["nodeName"] == "node2"
    assert [mount["readOnly"] for mount in spec["containers"][0]["volumeMounts"]] == [True, True]
    assert spec["containers"][0]["command"] == ["grep", "-rqF", "n1", "/claims"]


def test_a_probe_that_failed_is_told_by_an_event_of_the_pod():
    event = {"involvedObject": {"name": "web"}, "message": "Container web failed liveness probe, will be restarted"}
    assert is_liveness(event, "web")
    assert not is_liveness(event, "other")
    assert not is_liveness({**event, "message": "Readiness probe failed: HTTP 503"}, "web")
