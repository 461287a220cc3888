"""The components' client, against a real API server."""

import ssl
import threading

import pytest

from labkit.glassbox import pki
from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError
from tests.components import client, pod


@pytest.fixture
def api(api_server):
    return client(api_server)


def config_map(name, namespace, **data):
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


def test_what_was_created_is_got(api, namespace):
    api.create("configmaps", config_map("a", namespace, k="v"))
    assert api.get("configmaps", "a", namespace)["data"] == {"k": "v"}


def test_a_missing_object_is_an_error_with_the_servers_words(api, namespace):
    with pytest.raises(ApiError) as caught:
        api.get("configmaps", "none", namespace)
    assert (caught.value.code, caught.value.reason) == (404, "NotFound")
    assert caught.value.message == 'configmaps "none" not found'


def test_the_items_of_a_list_say_what_they_are(api, namespace):
    api.create("configmaps", config_map("a", namespace))
    found = api.list("configmaps", namespace)
    assert [(item["apiVersion"], item["kind"]) for item in found["items"]] == [("v1", "ConfigMap")]
    assert int(found["metadata"]["resourceVersion"]) > 0


def test_a_list_is_narrowed_by_labels_and_fields(api, namespace):
    for name in ("a", "b"):
        api.create("pods", pod(name, namespace))
    by_label = api.list("pods", namespace, label_selector="app in (b)")
    by_field = api.list("pods", namespace, field_selector="metadata.name!=b")
    assert [item["metadata"]["name"] for item in by_label["items"] + by_field["items"]] == ["b", "a"]


def test_a_stale_update_is_refused(api, namespace):
    first = api.create("configmaps", config_map("a", namespace, k="1"))
    api.update("configmaps", {**first, "data": {"k": "2"}})
    with pytest.raises(ApiError) as caught:
        api.update("configmaps", {**first, "data": {"k": "3"}})
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")


def test_status_is_written_by_its_own_door(api, namespace):
    made = api.create("pods", pod("a", namespace))
    api.update_status("pods", {**made, "status": {"phase": "Running"}})
    patch = {"status": {"message": "here"}}
    assert api.patch("pods", "a", namespace, patch, subresource="status")["status"]["phase"] == "Running"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("merge", {"data": {"k": "new"}}),
        ("strategic", {"data": {"k": "new"}}),
        ("json", [{"op": "replace", "path": "/data/k", "value": "new"}]),
    ],
)
def test_each_kind_of_patch(api, namespace, kind, patch):
    api.create("configmaps", config_map("a", namespace, k="old"))
    assert api.patch("configmaps", "a", namespace, patch, kind=kind)["data"] == {"k": "new"}


def test_a_delete_means_one_uid(api, namespace):
    made = api.create("configmaps", config_map("a", namespace))
    with pytest.raises(ApiError) as caught:
        api.delete("configmaps", "a", namespace, uid="another")
    assert caught.value.code == 409
    api.delete("configmaps", "a", namespace, uid=made["metadata"]["uid"])


def test_a_collection_is_deleted_at_once(api, namespace):
    for name in ("a", "b"):
        api.create("configmaps", config_map(name, namespace))
    api.delete_collection("configmaps", namespace)
    assert api.list("configmaps", namespace)["items"] == []


def test_a_watch_tells_what_happened_since_a_version(api, namespace):
    version = api.list("configmaps", namespace)["metadata"]["resourceVersion"]
    made = api.create("configmaps", config_map("a", namespace))
    api.update("configmaps", {**made, "data": {"k": "v"}})
    api.delete("configmaps", "a", namespace)
    watch = iter(api.watch("configmaps", namespace, resource_version=version, bookmarks=False))
    told = [next(watch) for _ in range(3)]
    assert [type for type, _ in told] == ["ADDED", "MODIFIED", "DELETED"]
    assert told[1][1]["data"] == {"k": "v"}
    watch.close()


def test_a_watch_ends_when_the_server_ends_it(api, namespace):
    version = api.list("configmaps", namespace)["metadata"]["resourceVersion"]
    assert list(api.watch("configmaps", namespace, resource_version=version, bookmarks=False, timeout_seconds=1)) == []


def test_another_thread_can_end_a_watch(api, namespace):
    version = api.list("configmaps", namespace)["metadata"]["resourceVersion"]
    watch, told = api.watch("configmaps", namespace, resource_version=version, bookmarks=False), []
    reader = threading.Thread(target=lambda: told.extend(watch))
    reader.start()
    watch.stop()
    reader.join(5)
    assert not reader.is_alive()
    assert told == []


def test_threads_share_a_client(api, namespace):
    def write(number):
        for turn in range(5):
            api.create("configmaps", config_map(f"c-{number}-{turn}", namespace))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(20)
    assert len(api.list("configmaps", namespace)["items"]) == 40


def test_a_server_that_is_away_is_an_error_like_others(api_server, tmp_path):
    nowhere = pki.kubeconfig(api_server.pki, server="https://127.0.0.1:1", cluster="none", user="kubernetes-admin")
    (tmp_path / "kubeconfig").write_text(nowhere)
    with pytest.raises(ApiError) as caught:
        Client.from_kubeconfig(tmp_path / "kubeconfig", user_agent="test").list("pods")
    assert (caught.value.code, caught.value.reason) == (503, "ServiceUnavailable")


def test_who_may_not_is_told_so(api_server, tmp_path):
    config = pki.kubeconfig(api_server.pki, server=api_server.url, cluster="test", user="student")
    (tmp_path / "kubeconfig").write_text(config)
    with pytest.raises(ApiError) as caught:
        Client.from_kubeconfig(tmp_path / "kubeconfig", user_agent="test").list("pods", "default")
    assert caught.value.code == 403
    assert caught.value.message.startswith('pods is forbidden: User "student" cannot list resource "pods"')


def test_an_idle_connection_that_the_server_closed_is_no_error(own_api_server):
    api = client(own_api_server)
    api.list("pods")
    own_api_server.stop()
    own_api_server.start()
    assert api.list("pods")["items"] == []


def test_a_further_connection_resumes_the_session_of_the_first(api_server):
    client = Client.from_kubeconfig(api_server.kubeconfig, user_agent="test")
    client.list("nodes")
    watches = [client.watch(resource, resource_version="0", timeout_seconds=1) for resource in ("nodes", "pods")]
    assert [each.response.connection.sock.session_reused for each in watches] == [False, True]


def test_a_session_is_copied_by_the_thread_that_reads_its_connection_alone(api_server, monkeypatch):
    readers, copiers = {}, []
    receive = ssl.SSLSocket.recv_into
    copy = ssl.SSLSocket.session.fget

    def recv_into(self, *arguments):
        readers.setdefault(self, threading.get_ident())
        return receive(self, *arguments)

    def session(self):
        copiers.append((self, threading.get_ident()))
        return copy(self)

    monkeypatch.setattr(ssl.SSLSocket, "recv_into", recv_into)
    monkeypatch.setattr(ssl.SSLSocket, "session", property(session, ssl.SSLSocket.session.fset))
    client = Client.from_kubeconfig(api_server.kubeconfig, user_agent="test")

    def follow():
        for _ in client.watch("nodes", resource_version="0", timeout_seconds=1):
            pass

    threads = [threading.Thread(target=follow) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert copiers
    assert set(copiers) <= set(readers.items())
