"""What every controller is: event → key → queue → reconcile(key), and again later when that fails."""

import pytest

from labkit.glassbox.controller import Controller, itself, owner
from labkit.glassbox.errors import ApiError
from labkit.glassbox.informer import inform
from tests.components import client
from tests.embedded import eventually


def test_a_change_concerns_the_object_itself():
    assert itself({"metadata": {"name": "a", "namespace": "n"}}) == ["n/a"]
    assert itself({"metadata": {"name": "a"}}) == ["a"]


@pytest.mark.parametrize(
    ("references", "keys"),
    [
        ([{"kind": "ReplicaSet", "name": "rs", "uid": "1", "controller": True}], ["n/rs"]),
        ([{"kind": "ReplicaSet", "name": "rs", "uid": "1"}], []),
        ([{"kind": "Job", "name": "j", "uid": "1", "controller": True}], []),
        ([], []),
    ],
)
def test_a_change_concerns_the_controller_of_a_kind(references, keys):
    changed = {"metadata": {"name": "p", "namespace": "n", "ownerReferences": references}}
    assert owner("ReplicaSet")(changed) == keys


class Noting(Controller):
    """Notes what it is asked to reconcile, and fails as often as it is told to."""

    name = "noting"
    watches = {"configmaps": itself}

    def __init__(self, api, cache):
        super().__init__(api, cache, None)
        self.seen, self.failures = [], []

    def reconcile(self, key):
        self.seen.append((key, self.cache["configmaps"].get(key) is not None))
        if self.failures:
            raise self.failures.pop()


@pytest.fixture
def noting(api_server, namespace):
    api = client(api_server)
    cache = inform(api, "configmaps")
    controller = Noting(api, cache)
    yield controller
    cache["configmaps"].stop()
    controller.queue.close()


def run(controller):
    controller.start()
    controller.cache["configmaps"].start()


def of(controller, namespace):
    return [(key, there) for key, there in controller.seen if key.startswith(namespace)]


def test_nothing_is_reconciled_before_the_copies_are_complete(noting, namespace):
    noting.api.create("configmaps", {"metadata": {"name": "a", "namespace": namespace}})
    noting.start()
    noting.queue.add(f"{namespace}/a")
    assert noting.seen == []
    noting.cache["configmaps"].start()
    eventually(lambda: of(noting, namespace))
    assert of(noting, namespace)[0] == (f"{namespace}/a", True)


def test_a_deletion_is_a_key_whose_object_is_gone(noting, namespace):
    run(noting)
    noting.api.create("configmaps", {"metadata": {"name": "a", "namespace": namespace}})
    eventually(lambda: (f"{namespace}/a", True) in noting.seen)
    noting.api.delete("configmaps", "a", namespace)
    eventually(lambda: (f"{namespace}/a", False) in noting.seen)


@pytest.mark.parametrize(
    "failure", [ApiError(409, "Conflict", "stale"), ApiError(503, "", "away"), ZeroDivisionError()]
)
def test_a_key_that_fails_comes_back(noting, namespace, failure):
    noting.failures = [failure, failure]
    noting.api.create("configmaps", {"metadata": {"name": "a", "namespace": namespace}})
    noting.queue.add(f"{namespace}/a")
    run(noting)
    eventually(lambda: not noting.failures)
    eventually(lambda: not noting.queue.failures)


def test_a_key_function_that_raises_stops_nothing(noting, namespace):
    noting.cache["configmaps"].handlers.insert(0, lambda type, obj: obj["no such field"])
    run(noting)
    noting.api.create("configmaps", {"metadata": {"name": "a", "namespace": namespace}})
    eventually(lambda: (f"{namespace}/a", True) in noting.seen)
