"""The local copy that follows the API, whatever happens to the watch."""

import pytest

from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError
from labkit.glassbox.informer import Informer
from tests.components import client
from tests.embedded import eventually


@pytest.fixture
def informers():
    """Start informers that are stopped when the test is over."""
    started = []

    def start(api, resource="configmaps", **options):
        informer = Informer(api, resource, **options)
        informer.start()
        started.append(informer)
        assert informer.wait_for_sync(5)
        return informer

    yield start
    for informer in started:
        informer.stop()


def config_map(name, namespace, *, owner=None, **data):
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner}] if owner else []
    return {"metadata": {"name": name, "namespace": namespace, "ownerReferences": references}, "data": data}


def namespaced(api, name="default"):
    return Informer(api, "configmaps", namespace=name)


class Told(list):
    """What a handler heard: (type, name, data)."""

    def __call__(self, type, obj):
        self.append((type, obj["metadata"]["name"], obj.get("data")))

    def types(self, name):
        return [type for type, of, _ in self if of == name]


def test_the_copy_has_what_was_there_and_follows(api_server, namespace, informers):
    api = client(api_server)
    made = api.create("configmaps", config_map("a", namespace, k="1"))
    told = Told()
    informer = informers(api, namespace=namespace, on_event=told)
    assert informer.get(f"{namespace}/a")["data"] == {"k": "1"}
    api.update("configmaps", {**made, "data": {"k": "2"}})
    api.delete("configmaps", "a", namespace)
    eventually(lambda: len(told) == 3)
    assert told == [("ADDED", "a", {"k": "1"}), ("MODIFIED", "a", {"k": "2"}), ("DELETED", "a", {"k": "2"})]
    assert informer.list() == []


def test_a_handler_hears_when_the_copy_has_changed(api_server, namespace, informers):
    api, seen = client(api_server), []
    informer = namespaced(api, namespace)
    informer.handlers.append(lambda type, obj: seen.append(informer.get(f"{namespace}/a")))
    informer.start()
    informer.wait_for_sync(5)
    api.create("configmaps", config_map("a", namespace))
    eventually(lambda: seen)
    api.delete("configmaps", "a", namespace)
    eventually(lambda: len(seen) == 2)
    informer.stop()
    assert seen[0]["metadata"]["name"] == "a"
    assert seen[1] is None


def test_a_handler_that_raises_costs_the_others_nothing(api_server, namespace, informers):
    api, told = client(api_server), Told()
    informer = informers(api, namespace=namespace, on_event=lambda type, obj: 1 / 0)
    informer.handlers.append(told)
    for name in ("a", "b"):
        api.create("configmaps", config_map(name, namespace))
    eventually(lambda: len(told) == 2)
    assert [name for _, name, _ in told] == ["a", "b"]


def test_objects_are_found_by_namespace_and_by_owner(api_server, namespace, informers):
    api = client(api_server)
    owner = api.create("configmaps", config_map("owner", namespace))["metadata"]["uid"]
    api.create("configmaps", config_map("owned", namespace, owner=owner))
    informer = informers(api)
    assert {each["metadata"]["name"] for each in informer.list(namespace)} == {"owner", "owned"}
    assert [each["metadata"]["name"] for each in informer.owned_by(owner)] == ["owned"]
    api.patch("configmaps", "owned", namespace, {"metadata": {"ownerReferences": None}})
    eventually(lambda: not informer.owned_by(owner))
    assert informer.list("nowhere") == []


def test_a_field_selector_narrows_the_copy(api_server, namespace, informers):
    api = client(api_server)
    for name in ("a", "b"):
        api.create("configmaps", config_map(name, namespace))
    informer = informers(api, namespace=namespace, field_selector="metadata.name=b")
    assert [each["metadata"]["name"] for each in informer.list()] == ["b"]


def test_a_watch_goes_on_when_the_api_server_was_started_again(own_api_server, informers):
    api, told = client(own_api_server), Told()
    informer = informers(api, namespace="default", on_event=told)
    api.create("configmaps", config_map("before", "default"))
    eventually(lambda: told.types("before"))
    own_api_server.stop()
    own_api_server.start()
    api.create("configmaps", config_map("after", "default"))
    eventually(lambda: told.types("after"))
    assert told.types("before") == ["ADDED"]
    assert informer.get("default/before") is not None


class TooOld(Client):
    """A client whose next watches begin at a version that has been compacted away: 410, as the server answers it."""

    gone = 0

    def watch(self, *arguments, **options):
        if self.gone:
            self.gone -= 1
            self.meanwhile()
            raise ApiError(410, "Expired", "too old resource version: 1 (2)")
        return super().watch(*arguments, **options)


def after_a_gap(server, told, meanwhile):
    """Have an informer on namespace default fall behind, and `meanwhile` happen that it cannot see."""
    api = TooOld.from_kubeconfig(server.kubeconfig, user_agent="test")
    informer = Informer(api, "configmaps", namespace="default", on_event=told)
    api.gone, api.meanwhile = 1, meanwhile
    informer.start()
    return informer


def test_what_vanished_in_a_gap_is_told_as_deleted(own_api_server):
    api, told = client(own_api_server), Told()
    for name in ("stays", "goes", "changes"):
        api.create("configmaps", config_map(name, "default", k="1"))

    def meanwhile():
        api.delete("configmaps", "goes", "default")
        api.patch("configmaps", "changes", "default", {"data": {"k": "2"}})
        api.create("configmaps", config_map("comes", "default"))

    informer = after_a_gap(own_api_server, told, meanwhile)
    eventually(lambda: told.types("comes"))
    informer.stop()
    assert told.types("goes") == ["ADDED", "DELETED"]
    assert told.types("changes") == ["ADDED", "MODIFIED"]
    assert told.types("stays") == ["ADDED"]
    assert informer.get("default/goes") is None


def test_another_object_of_the_same_name_is_not_the_old_one_changed(own_api_server):
    api, told = client(own_api_server), Told()
    api.create("configmaps", config_map("a", "default", k="old"))

    def meanwhile():
        api.delete("configmaps", "a", "default")
        api.create("configmaps", config_map("a", "default", k="new"))

    informer = after_a_gap(own_api_server, told, meanwhile)
    eventually(lambda: len(told) == 3)
    informer.stop()
    assert told == [("ADDED", "a", {"k": "old"}), ("DELETED", "a", {"k": "old"}), ("ADDED", "a", {"k": "new"})]


def test_a_stopped_informer_tells_nothing_more(api_server, namespace):
    api, told = client(api_server), Told()
    informer = Informer(api, "configmaps", namespace=namespace, on_event=told)
    informer.start()
    informer.wait_for_sync(5)
    eventually(lambda: informer.current is not None)
    informer.stop()
    other = namespaced(api, namespace)
    api.create("configmaps", config_map("a", namespace))
    other.start()
    eventually(lambda: other.get(f"{namespace}/a"))
    other.stop()
    assert told == []


def test_reading_never_misses_an_object_that_only_changes(api_server, namespace, informers):
    api = client(api_server)
    api.create("configmaps", config_map("a", namespace, k="0"))
    informer = informers(api, namespace=namespace)
    for number in range(1, 40):
        api.patch("configmaps", "a", namespace, {"data": {"k": str(number)}})
        assert informer.get(f"{namespace}/a") is not None
        assert len(informer.list(namespace)) == 1
    eventually(lambda: informer.get(f"{namespace}/a")["data"] == {"k": "39"})
