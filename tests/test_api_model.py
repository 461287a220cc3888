"""A model of the API beside the real one: whatever is done to both, and however the server dies, they tell the same.

Random creates, updates, patches, deletes, compactions, and kill -9, also in the midst of a write. Watches go on all the
time, some in one stream, some anew from where they were: each sees every event once and in order, or is told 410.
"""

import json
import os
import signal
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.api_server import ApiServer
from tests.test_fuzz import Connection

PATH = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
# What may be done, as often as it stands here.
DEEDS = ("create", "create", "update", "patch", "patch", "delete", "delete", "watch", "compact", "look", "look") * 2
STEP = st.tuples(st.sampled_from((*DEEDS, "die")), st.sampled_from("abcd"), st.sampled_from("0123"), st.booleans())


def version(obj):
    return int(obj["metadata"]["resourceVersion"])


class Watcher:
    """One client's view of a collection: a list, then watches from where it has got to; with `kept`, one stream."""

    def __init__(self, server, kept):
        self.server, self.kept, self.lines, self.events = server, kept, None, []
        listed = server.request("GET", PATH)[1]
        self.revision = self.since = version(listed)
        self.held = {item["metadata"]["name"]: version(item) for item in listed["items"]}
        self.begin()

    def begin(self):
        if self.kept:
            self._open()

    def _open(self):
        options = f"watch=1&timeoutSeconds=600&resourceVersion={self.revision}"
        self.lines = self.server.open("GET", f"{PATH}?{options}")

    def catch_up(self, last):
        """Read the events up to the revision `last`; return False if they are compacted."""
        while self.revision < last:
            if self.lines is None:
                self._open()
            event = json.loads(self.lines.readline())
            if event["type"] == "ERROR":
                assert event["object"]["code"] == 410, event
                return False
            self._take(event["type"], event["object"])
        if not self.kept:
            self.hang_up()
        return True

    def hang_up(self):
        if self.lines:
            self.lines.close()
        self.lines = None

    def _take(self, kind, obj):
        name, self.revision = obj["metadata"]["name"], version(obj)
        self.events.append((kind, name, self.revision))
        if kind == "DELETED":
            del self.held[name]
        else:
            self.held[name] = self.revision


class Model:
    """What is there (name -> data, revision), and all events that were acknowledged."""

    def __init__(self, server):
        self.server, self.connection = server, Connection(server)
        self.ask("DELETE", PATH)
        self.there, self.events, self.compacted = {}, [], 0
        self.watchers = [Watcher(self.server, kept=True), Watcher(self.server, kept=False)]
        self.last = self.watchers[0].revision

    def run(self, steps):
        for deed, *how in [*steps, ("look", "", "", False)]:
            getattr(self, deed)(*how)
        for watcher in self.watchers:
            watcher.hang_up()

    def ask(self, method, path, body=None, media="application/json"):
        code, answer = self.connection.ask(method, path, body and json.dumps(body), body and media)
        return code, json.loads(answer)

    def acknowledged(self, kind, name, answer, data=None):
        revision = version(answer)
        assert revision > self.last, "a resource version was used again"
        self.last = revision
        self.events.append((kind, name, revision))
        if data is None:
            del self.there[name]
        else:
            self.there[name] = (data, revision)

    def changed(self, name, answer, data):
        if data == self.there[name][0]:
            assert version(answer) == self.there[name][1], "nothing changed but the revision"
        else:
            self.acknowledged("MODIFIED", name, answer, data)

    def create(self, name, k, _):
        code, answer = self.ask("POST", PATH, {"metadata": {"name": name}, "data": {"k": k}})
        assert code == (409 if name in self.there else 201), answer
        if code == 201:
            self.acknowledged("ADDED", name, answer, {"k": k})

    def update(self, name, k, stale):
        held = self.there.get(name)
        revision = str(held[1]) if held and not stale else "1"
        body = {"metadata": {"name": name, "resourceVersion": revision}, "data": {"k": k}}
        code, answer = self.ask("PUT", f"{PATH}/{name}", body)
        assert code == (404 if not held else 409 if stale else 200), answer
        if code == 200:
            self.changed(name, answer, {"k": k})

    def patch(self, name, k, other):
        key, k = "l" if other else "k", None if k == "0" else k
        held = self.there.get(name)
        code, answer = self.ask("PATCH", f"{PATH}/{name}", {"data": {key: k}}, media=MERGE)
        assert code == (200 if held else 404), answer
        if held:
            merged = {**held[0], key: k}
            self.changed(name, answer, {each: value for each, value in merged.items() if value is not None})

    def delete(self, name, *_):
        code, answer = self.ask("DELETE", f"{PATH}/{name}")
        assert code == (200 if name in self.there else 404), answer
        if code == 200:  # at which revision tells the collection
            self.acknowledged("DELETED", name, self.ask("GET", PATH)[1])

    def watch(self, _name, _k, kept):
        if len(self.watchers) < 5:
            self.watchers.append(Watcher(self.server, kept))

    def compact(self, *_):
        os.kill(self.server.process.pid, signal.SIGUSR2)
        for _ in range(2):  # the signal is dealt with beside the first: nothing is written until it has been
            self.ask("GET", PATH)
        self.compacted = self.last

    def die(self, name, k, while_writing):
        """kill -9. A write that was under way is there or is not; if it was acknowledged, it is."""
        body, code = json.dumps({"metadata": {"name": name}, "data": {"k": k}}).encode(), 0
        if while_writing:
            writer = Connection(self.server)
            writer.http.request("POST", PATH, body, writer.headers | {"Content-Type": "application/json"})
        self.server.stop(signal.SIGKILL)
        if while_writing:
            with suppress(OSError):
                code = writer.http.getresponse().status
        for watcher in self.watchers:
            watcher.hang_up()
        self.server.start()
        self.connection = Connection(self.server)
        for watcher in self.watchers:
            watcher.begin()
        found, answer = self.ask("GET", f"{PATH}/{name}")
        assert code != 201 or found == 200, "an acknowledged write is lost"
        if found == 200 and name not in self.there:
            assert while_writing, "something is there that nobody wrote"
            self.acknowledged("ADDED", name, answer, {"k": k})

    def look(self, *_):
        """Lists and watches tell what was acknowledged, and nothing else."""
        listed = self.ask("GET", PATH)[1]["items"]
        assert {each["metadata"]["name"]: (each.get("data", {}), version(each)) for each in listed} == self.there
        for watcher in list(self.watchers):
            if watcher.catch_up(self.last):
                assert watcher.events == [each for each in self.events if each[2] > watcher.since]
                assert watcher.held == {name: revision for name, (_, revision) in self.there.items()}
            else:
                assert watcher.revision < self.compacted, "history was lost that nobody compacted"
                self.watchers.remove(watcher)


@pytest.fixture
def compacting_server(tmp_path):
    running = ApiServer(tmp_path, module="tests.compacting_server").start()
    yield running
    running.stop()


def tell_the_same(server, examples, **options):
    """Run examples of eighty steps."""
    quiet = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

    @settings(max_examples=examples, **quiet, **options)
    @given(st.lists(STEP, min_size=80, max_size=80))
    def run(steps):
        Model(server).run(steps)

    run()


def test_the_api_and_its_model_tell_the_same(compacting_server):
    tell_the_same(compacting_server, 4, derandomize=True, phases=[Phase.generate])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_api_and_its_model_tell_the_same_for_long(compacting_server):
    tell_the_same(compacting_server, 60)
