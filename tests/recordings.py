"""Replays recordings of a real API server's answers: sends each request, tells where our answer differs.

A recorded answer has placeholders for what differs from run to run (`<uid-1>`, `<rv-3>`, `<time>`): the same
placeholder stands for the same value within a file. Requests may hold placeholders of earlier answers.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import urllib3

from tests.chance import UNORDERED_LISTS, is_of_the_moment, once_told
from tests.placeholders import PLACEHOLDER, matches
from tests.recordings_scope import is_compared, within_scope

POLL_SECONDS = 20  # the autoscaler looks every 15
RUNNING = ("25_quota", "33_controllers")  # what is asked for there is written by controllers and kubelets
ACCOUNT_IS_THERE = "setup: wait for the default service account"
RACED = re.compile(
    r"\w+ \S+/(?:deployments|replicasets|statefulsets|poddisruptionbudgets)/[a-z0-9-]+(?:/scale)?$"
    r"|DELETE \S+/pods/[a-z0-9-]+$"  # its kubelet writes
)
REVISION = "deployment.kubernetes.io/revision"
FROM_CONTROLLERS = (("status",), ("status", "replicas"), ("metadata", "annotations", REVISION))
VENDORS = "openshift-service-ca.crt"  # which the recorder left out of what it kept
METRICS = "metrics.k8s.io"
LISTS = ("items", "groups", "paths", "paths (keys only)")  # of groups, or of paths below them
WITH_MANAGERS = ("14_server_side_apply",)
WITH_VENDOR = ("18_tables",)  # whose counts include the ConfigMap that the recorded vendor gives each namespace
STORE = "store "  # before a placeholder: the revision of the whole store, which an object may have had in the recording
IGNORED_FIELDS = {"remainingItemCount"}


class Replay:
    """One file's exchanges against one server, with what the placeholders turned out to stand for."""

    def __init__(self, recording: str, url: str, credentials: dict[str, dict], pools: tuple):
        self.recording, self.url, self.credentials = recording, url, credentials
        self.administrator, self.pool = pools  # with a certificate, and without
        self.vendor = recording in WITH_VENDOR
        self.tokens: dict[str, str] = {}  # service account → the token that it was given
        self.tells_managers = recording in WITH_MANAGERS  # the recorder left managedFields in decoded bodies
        self.values: dict[str, str] = {}
        self.made: list[str] = []  # paths of what was created

    def differences(self, exchange: dict, known: bool = False) -> list[str]:
        """Send one request and return the differences of the answer; what may come yet is waited for, unless known."""
        request = exchange["request"]
        waits = self.tells_managers or RACED.match(f"{request['method']} {request['path']}")
        if waits and (found := re.match(r"/apis/apps/\S+/deployments/\w+", request["path"])):
            self.await_controller(found[0])
        found = self.once(exchange)
        if exchange["request"]["path"] == "/api/v1/nodes" and exchange["response"]["status"] == 201:
            self.await_node_controllers()
        if exchange["name"] == ACCOUNT_IS_THERE:
            self.await_authority(exchange["request"])
        deadline = time.monotonic() + POLL_SECONDS
        while found and exchange.get("poll") and not known and time.monotonic() < deadline:
            time.sleep(0.05)  # as the recorder did: the recording is of a state that is reached
            found = self.once(exchange)
        return found

    def await_authority(self, request: dict) -> None:
        """Wait for the configmap that each namespace gets: it was there when the recording went on."""
        path = request["path"].replace("serviceaccounts/default", "configmaps/kube-root-ca.crt")
        deadline = time.monotonic() + POLL_SECONDS
        while self.send({**request, "path": path}).status != 200 and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.vendor:
            made = {"metadata": {"name": VENDORS}}
            self.send({**request, "method": "POST", "path": path.rpartition("/")[0], "body": made})

    def await_node_controllers(self) -> None:
        """Wait until a node that was made by hand has its pod range: it had when the recording went on."""
        deadline, request = time.monotonic() + POLL_SECONDS, {"method": "GET", "headers": {}, "body": None}
        while time.monotonic() < deadline:
            nodes = json.loads(self.send({**request, "path": "/api/v1/nodes"}).data)["items"]
            if all(each["spec"].get("podCIDR") for each in nodes):
                return
            time.sleep(0.02)

    def await_controller(self, path: str) -> None:
        """Wait until a deployment's controller has seen it: it was quicker than the recorder."""
        deadline = time.monotonic() + POLL_SECONDS
        while time.monotonic() < deadline:
            answer = self.send({"method": "GET", "path": path, "headers": {}, "body": None})
            held = json.loads(answer.data)
            if answer.status != 200 or held["status"].get("observedGeneration") == held["metadata"]["generation"]:
                return
            time.sleep(0.02)

    def once(self, exchange: dict) -> list[str]:
        request, expected, self.named = exchange["request"], exchange["response"], exchange["name"]
        before = self.stored(exchange)
        beside = threading.Thread(target=self.send_beside, args=[exchange.get("during", ())])
        beside.start()
        answer = self.send(request)
        beside.join()
        if answer.status == 201 and isinstance(request["body"], dict):
            self.made.append(f"{request['path']}/{(request['body'].get('metadata') or {}).get('name', '')}")
        if answer.status != expected["status"]:
            return [f"status: {answer.status} instead of {expected['status']} {answer.data[:300]!r}"]
        if answer.status == 201 and request["path"].endswith("/token"):
            self.values["<token>"] = self.tokens[request["path"].split("/")[-2]] = json.loads(answer.data)["status"][
                "token"
            ]
        if before:
            expected = as_controllers_left_it(expected, answer, [before, self.stored(exchange)])
        bound = dict(self.values)
        found = [*self.headers(answer, expected, bound), *self.body(answer, expected, bound)]
        found = [each for each in found if not is_of_the_moment(self.recording, self.named, each)]
        if not found or not exchange.get("poll"):
            self.values = bound
        return found

    def send_beside(self, requests: list[dict]) -> None:
        """Send what the recorder sent while it watched, at its times."""
        begun = time.monotonic()
        for each in requests:
            time.sleep(max(0.0, begun + each["after_seconds"] - time.monotonic()))
            self.send({"headers": {}, "body": None, **each})

    def stored(self, exchange: dict) -> dict | None:
        """Return the object that a write is about, if a controller may be writing it at the same time."""
        request = exchange["request"]
        path = request["path"].partition("?")[0]
        if (
            request["method"] == "GET"
            or not RACED.match(f"{request['method']} {path}")
            or exchange["response"]["status"] != 200
        ):
            return None
        answer = self.send({**request, "method": "GET", "path": path, "body": None, "headers": {}})
        return json.loads(answer.data) if answer.status == 200 else None

    def clean_up(self) -> None:
        """Delete what was made outside of namespaces, as the recorder did: others see it."""
        for path in self.made:
            if "/namespaces/" not in path:
                self.send({"method": "DELETE", "path": path, "headers": {}, "body": None})

    def send(self, request: dict):
        headers = {"User-Agent": urllib3.util.SKIP_HEADER, **request["headers"]}  # the recorder's had no name
        who = request.get("auth", "")
        pool = self.administrator if not who or who.startswith("admin ") else self.pool
        headers.update(self.credentials.get(who, {}))
        body = request["body"]
        if body is not None:
            body = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
            body = huge(self.filled(body)).encode()
        return pool.request(
            request["method"], self.url + self.filled(request["path"], STORE), headers=headers, body=body, timeout=30
        )

    def filled(self, text: str, first: str = "") -> str:
        for placeholder in re.findall(r"<uid-\d+>", text):  # an uid that no answer gave: the recorder made it up
            self.values.setdefault(placeholder, str(uuid.uuid4()))
        for placeholder, number in re.findall(r"(<cluster-ip-(\d+)>)", text):
            self.values.setdefault(placeholder, f"10.96.254.{number}")
        for placeholder in re.findall(r"<digest-\d+>", text):
            self.values.setdefault(placeholder, uuid.uuid4().hex * 2)

        text = text.replace('"token": "<token>"', json.dumps({"token": self.values.get("<token>", "<token>")})[1:-1])

        def value(found: re.Match) -> str:
            known = self.values.get(first + found[0]) or self.values.get(found[0]) or self.values.get(STORE + found[0])
            return str(known or found[0])

        return PLACEHOLDER.sub(value, text)

    def headers(self, answer, expected: dict, bound: dict) -> Iterator[str]:
        for name in ("Content-Type", "Warning"):
            wanted = expected["headers"].get(name)
            given = " || ".join(answer.headers.getlist(name)) or None
            if wanted != given:
                yield f"{name}: {given!r} instead of {wanted!r}"

    def body(self, answer, expected: dict, bound: dict) -> Iterator[str]:
        text = answer.data.decode()
        if "stream" in expected:
            given = once_bookmarked([self.as_recorded(json.loads(line)) for line in text.splitlines()])
            recorded = once_bookmarked(expected["stream"])
            wanted = [at_our_revision(*pair, bound) for pair in zip(given, recorded, strict=False)]
            yield from compare(given, [*wanted, *recorded[len(given) :]], "stream", bound)
            return
        wanted = expected.get("body")
        given = text if isinstance(wanted, str) else as_cut(self.as_recorded(parsed(text)), wanted)
        if "(other groups removed here)" in self.named:  # by the recorder
            given["items"] = [each for each in given["items"] if each["metadata"]["name"].endswith(".example.com")]
        if self.recording == "01_discovery" and isinstance(given, dict):
            given = without_metrics(given)
        if isinstance(wanted, str) and not matches(given, wanted, dict(bound)):
            yield from compare_texts(given, wanted, bound)
            return
        if self.recording in RUNNING:
            given, wanted = once_told(given), once_told(wanted)
        yield from compare(given, at_our_revision(given, wanted, bound), "body", bound)

    def as_recorded(self, given):
        """Return an answer without the managedFields that the recorder removed."""
        if self.tells_managers:
            return given
        if isinstance(given, dict):
            if given.get("rows") and self.vendor:
                given = {**given, "rows": [each for each in given["rows"] if each["cells"][0] != VENDORS]}
            return {key: self.as_recorded(value) for key, value in given.items() if key != "managedFields"}
        return [self.as_recorded(each) for each in given] if isinstance(given, list) else given


def without_metrics(given: dict) -> dict:
    """Return what is listed without the group that the recorded cluster had not: it had no metrics server."""
    return {
        key: [each for each in value if METRICS not in json.dumps(each)] if key in LISTS else value
        for key, value in given.items()
    }


def as_cut(given, wanted):
    """Return an answer cut to what the recorder kept of it: of some parts the keys alone, or how many there are."""
    cuts = {" (keys only)": sorted, " (count)": len}
    for key in wanted if isinstance(wanted, dict) else ():
        for ending, cut in cuts.items():
            if (whole := key.removesuffix(ending)) != key and whole in given:
                given = {**given, key: cut(given[whole])}
                del given[whole]
    return given


def once_bookmarked(events: list[dict]) -> list[dict]:
    """Return a stream without the bookmarks that tell what the one before them told: how often it is told is chance."""
    pairs = zip([None, *events], events, strict=False)
    return [each for before, each in pairs if each.get("type") != "BOOKMARK" or each != before]


def at_our_revision(given, wanted, bound: dict):
    """Return a recorded list, Table or bookmark at the revision that ours has, unless that went back.

    It is the whole store's: what a component writes between two answers moves it on.
    """
    if not isinstance(given, dict) or not isinstance(wanted, dict):
        return wanted
    if wanted.get("type") == "BOOKMARK":
        return {**wanted, "object": _at_our_revision(given["object"], wanted["object"], bound)}
    return _at_our_revision(given, wanted, bound) if "items" in wanted or "rows" in wanted else wanted


def _at_our_revision(given: dict, wanted: dict, bound: dict) -> dict:
    recorded, ours = ((each.get("metadata") or {}).get("resourceVersion") for each in (wanted, given))
    if not recorded or not str(ours).isdigit() or int(ours) < int(bound.get(STORE + recorded, 0)):
        return wanted
    bound[STORE + recorded] = ours
    return {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": ours}}


def as_controllers_left_it(expected: dict, answer, held: list[dict | None]) -> dict:
    """Return a recorded answer to a write with what controllers had written by then here.

    A write that is not one of the status leaves that as it is stored, so ours has to be what was stored before or
    after; how far the controller had come is neither's to say.
    """
    given, wanted = json.loads(answer.data), json.loads(json.dumps(expected["body"]))
    if given["kind"] == "Status":
        return expected
    for *path, last in FROM_CONTROLLERS:
        there, ours, stored = wanted, given, [each for each in held if each]
        for key in path:
            there, ours = there.setdefault(key, {}), ours.get(key, {})
            stored = [each.get(key, {}) for each in stored]
        if ours.get(last) in [each.get(last) for each in stored] and (wanted["kind"] != "Scale" or last == "replicas"):
            there.update({last: ours[last]}) if last in ours else there.pop(last, None)
    if held[0]["metadata"]["resourceVersion"] == given["metadata"]["resourceVersion"]:  # nothing was changed
        wanted["metadata"]["resourceVersion"] = given["metadata"]["resourceVersion"]
    if not wanted["metadata"].get("annotations", True):
        del wanted["metadata"]["annotations"]
    return {**expected, "body": wanted}


def parsed(text: str):
    try:
        return json.loads(text)
    except ValueError:
        return text or None


def huge(text: str) -> str:
    """Write out what a recording says in words: <the letter x 100 times>."""
    text = re.sub(r"<the letter (\w) (\d+) times>", lambda found: found[1] * int(found[2]), text)
    text = re.sub(r"(\w)\*(\d+) \(the letter \w repeated\)", lambda found: found[1] * int(found[2]), text)
    if found := re.fullmatch(r"the (\w+) operation of (\S+) = (\S+), (\d+) times", text):
        operation = {"op": found[1], "path": found[2], "value": json.loads(found[3])}
        return json.dumps([operation] * int(found[4]))
    return text


def compare(given, wanted, path: str, bound: dict) -> Iterator[str]:
    """Tell each place where an answer differs from the recorded one; bind placeholders on the way."""
    if isinstance(wanted, dict) and isinstance(given, dict):
        given, wanted = (in_one_order(each) for each in (given, wanted))
        for key in sorted((wanted.keys() | given.keys()) - IGNORED_FIELDS):
            if key not in given:
                yield f"{path}.{key} is missing: {json.dumps(wanted[key])[:200]}"
            elif key not in wanted:
                yield f"{path}.{key} is too much: {json.dumps(given[key])[:200]}"
            else:
                yield from compare(given[key], wanted[key], f"{path}.{key}", bound)
    elif isinstance(wanted, list) and isinstance(given, list):
        yield from compare_lists(given, wanted, path, bound)
    elif isinstance(wanted, str) and not matches(given, wanted, bound):
        yield f"{path}: {json.dumps(given)[:400]} instead of {json.dumps(wanted)[:400]}"
    elif not isinstance(wanted, str) and (given != wanted or type(given) is not type(wanted)):
        yield f"{path}: {json.dumps(given)[:200]} instead of {json.dumps(wanted)[:200]}"


def compare_texts(given: str, wanted: str, bound: dict) -> Iterator[str]:
    """Tell where two texts differ, if they are objects; the recorder cut an item out of a list."""
    one, other = parsed(given), parsed(wanted.replace(",]", "]").replace("<rv>", "<own>"))
    if not isinstance(one, dict) or not isinstance(other, dict):
        yield from compare(given, wanted, "body", bound)
        return
    found = [*compare(one, other, "body", bound)]
    yield from found or ["body: fields stand in another order"]


def compare_lists(given: list, wanted: list, path: str, bound: dict) -> Iterator[str]:
    if len(given) != len(wanted) and all(isinstance(each, str) for each in given + wanted):
        yield from (f"{path} lacks {json.dumps(each)}" for each in wanted if each not in given)
        yield from (f"{path} has {json.dumps(each)} too much" for each in given if each not in wanted)
        return
    if len(given) != len(wanted):
        yield f"{path}: {len(given)} items instead of {len(wanted)}: {json.dumps(given)[:300]}"
    if path.endswith(UNORDERED_LISTS):
        given = in_order_of(given, wanted, bound)
    for index, (one, other) in enumerate(zip(given, wanted, strict=False)):
        yield from compare(one, other, f"{path}[{index}]", bound)


def in_order_of(given: list, wanted: list, bound: dict) -> list:
    """Return a list in the order of the recorded one, as far as its items are alike."""
    left, found = list(given), []
    for other in wanted:
        alike = next((each for each in left if not any(compare(each, other, "", dict(bound)))), None)
        if alike is not None:
            left.remove(alike)
            found.append(alike)
    return found + left


def in_one_order(value: dict) -> dict:
    """Return a dict with what comes in no set order sorted: a conflict's causes, entries of the same second.

    The faults of a custom resource come in the order of a Go map.
    """
    if str((value.get("details") or {}).get("group")).endswith(".example.com") and "causes" in value["details"]:
        causes = sorted(value["details"]["causes"], key=json.dumps)
        message = ", ".join(sorted(re.split(r"[:,] \[?(?=[\w.<>]+: )|\]$", value["message"])))
        value = {**value, "message": message, "details": {**value["details"], "causes": causes}}
    orders = {
        "managedFields": lambda each: (each["operation"], each["manager"], each.get("subresource", "")),
        "causes": lambda each: (each["message"], each["field"]) if each.get("reason") == "FieldManagerConflict" else (),
        "nonResourceRules": json.dumps,
    }
    return {
        key: sorted(item, key=orders[key]) if key in orders and isinstance(item, list) else item
        for key, item in value.items()
    }


def load(path: Path) -> list[dict]:
    """Return a file's exchanges that are compared; what controllers and kubelets write is asked for until it is so."""
    found = [within_scope(exchange) for exchange in json.loads(path.read_text()) if is_compared(exchange)]
    if path.stem in RUNNING:
        found = [each | {"poll": "as recorded"} if each["request"]["method"] == "GET" else each for each in found]
    return found
