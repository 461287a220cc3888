"""Events: what components tell people, the same thing once with a count."""

import pytest

from labkit.glassbox.events import EventRecorder, event_of, sameness
from tests.components import client, pod
from tests.embedded import eventually

NOW = "2026-01-01T00:00:00Z"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7"},
}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "uid": "w"}}


def test_an_event_says_what_it_is_about_and_who_says_it():
    event = event_of(POD, "Normal", "Scheduled", "Successfully assigned n/p to node1", NOW, "default-scheduler")
    assert event["metadata"]["name"].startswith("p.")
    del event["metadata"]["name"]
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "n"},
        "involvedObject": {
            "kind": "Pod",
            "apiVersion": "v1",
            "name": "p",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "7",
        },
        "type": "Normal",
        "reason": "Scheduled",
        "message": "Successfully assigned n/p to node1",
        "source": {"component": "default-scheduler"},
        "reportingComponent": "default-scheduler",
        "reportingInstance": "",
        "firstTimestamp": NOW,
        "lastTimestamp": NOW,
        "count": 1,
    }


def test_an_event_about_an_object_of_the_whole_cluster_is_in_namespace_default():
    assert event_of(NODE, "Normal", "R", "m", NOW, "c")["metadata"]["namespace"] == "default"


def test_a_kubelets_event_names_its_host_and_the_container():
    event = event_of(POD, "Normal", "Started", "m", NOW, "kubelet", "node1", "spec.containers{c}")
    assert event["source"] == {"component": "kubelet", "host": "node1"}
    assert event["involvedObject"]["fieldPath"] == "spec.containers{c}"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (("Normal", "R", "m"), True),
        (("Warning", "R", "m"), False),
        (("Normal", "Other", "m"), False),
        (("Normal", "R", "other"), False),
    ],
)
def test_what_makes_two_events_one_said_twice(other, same):
    first = sameness(event_of(POD, "Normal", "R", "m", NOW, "c"))
    assert (sameness(event_of(POD, *other, "2026-01-01T00:00:09Z", "c")) == first) is same


def about(api, namespace, name):
    return api.list("events", namespace, field_selector=f"involvedObject.name={name}")["items"]


def test_the_same_thing_said_again_is_counted(api_server, namespace):
    api = client(api_server)
    made, recorder = api.create("pods", pod("p", namespace)), EventRecorder(client(api_server), "c")
    for _ in range(3):
        recorder.event(made, "Warning", "R", "again")
    recorder.event(made, "Normal", "R", "once")
    found = eventually(
        lambda: (
            sorted((e["message"], e["count"]) for e in about(api, namespace, "p"))[1:] and about(api, namespace, "p")
        )
    )
    assert sorted((event["message"], event["count"]) for event in found) == [("again", 3), ("once", 1)]


def test_what_has_expired_is_said_anew(api_server, namespace):
    api = client(api_server)
    made, recorder = api.create("pods", pod("p", namespace)), EventRecorder(client(api_server), "c")
    recorder.event(made, "Normal", "R", "m")
    [first] = eventually(lambda: about(api, namespace, "p"))
    api.delete("events", first["metadata"]["name"], namespace)
    recorder.event(made, "Normal", "R", "m")
    [second] = eventually(lambda: about(api, namespace, "p"))
    assert second["count"] == 1


def test_recording_outlives_a_namespace_that_is_gone(api_server, namespace):
    api = client(api_server)
    made, recorder = api.create("pods", pod("p", namespace)), EventRecorder(client(api_server), "c")
    gone = {**made, "metadata": {**made["metadata"], "namespace": "nowhere"}}
    recorder.event(gone, "Normal", "R", "lost")
    recorder.event(made, "Normal", "R", "m")
    assert [event["message"] for event in eventually(lambda: about(api, namespace, "p"))] == ["m"]


def test_an_event_waits_for_an_api_server_that_is_away(own_api_server):
    api = client(own_api_server)
    own_api_server.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    made, recorder = api.create("pods", pod("p", "default")), EventRecorder(client(own_api_server), "c")
    own_api_server.stop()
    recorder.event(made, "Normal", "R", "late")
    own_api_server.start()
    assert [event["message"] for event in eventually(lambda: about(api, "default", "p"))] == ["late"]
