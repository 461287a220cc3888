"""pods/ephemeralcontainers: containers are added to a pod to look around with, and never taken away."""

import json

import pytest

STRATEGIC = "application/strategic-merge-patch+json"
DEBUGGER = {"name": "debugger", "image": "busybox:1.36", "targetContainerName": "c"}


@pytest.fixture
def pod(api_server, namespace):
    """The path of a pod's ephemeralcontainers, and what patches them."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "busybox:1.36"}]}}
    assert api_server.request("POST", path, body)[0] == 201

    def patch(*containers, **more):
        spec = {"ephemeralContainers": list(containers), **more}
        return api_server.request("PATCH", f"{path}/p/ephemeralcontainers", {"spec": spec}, content_type=STRATEGIC)

    return patch


def test_a_container_is_added_with_its_defaults(pod):
    code, answer = pod(DEBUGGER)
    assert code == 200
    assert answer["spec"]["ephemeralContainers"] == [
        {
            **DEBUGGER,
            "resources": {},
            "imagePullPolicy": "IfNotPresent",
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
    ]
    assert answer["metadata"]["generation"] == 2


def test_the_rest_of_the_pod_stays(pod):
    assert "nodeName" not in pod(DEBUGGER, nodeName="elsewhere")[1]["spec"]


def test_what_stays_is_nobodys_change(pod):
    _, before = pod()
    _, after = pod(nodeName="elsewhere", containers=[{"name": before["spec"]["containers"][0]["name"], "image": "x"}])
    assert after == before


def test_a_second_one_joins_the_first(pod):
    pod(DEBUGGER)
    _, answer = pod({**DEBUGGER, "name": "second"})
    assert {each["name"] for each in answer["spec"]["ephemeralContainers"]} == {"debugger", "second"}


def test_one_that_is_there_stays_as_it_is(pod):
    pod(DEBUGGER)
    code, refusal = pod({**DEBUGGER, "image": "other"})
    assert code == 422
    told = 'Forbidden: existing ephemeral containers "debugger" may not be changed\n'
    assert refusal["details"]["causes"][0]["message"].startswith(told)


def test_one_that_is_there_is_not_taken_away(pod):
    pod(DEBUGGER)
    code, refusal = pod({"name": "debugger", "$patch": "delete"})
    assert code == 422
    assert 'existing ephemeral containers "debugger" may not be removed' in refusal["message"]


def test_what_a_pod_relies_on_is_not_for_them(pod):
    _, refusal = pod({**DEBUGGER, "ports": [{"containerPort": 80}], "targetContainerName": "nobody"})
    assert [each["field"] for each in refusal["details"]["causes"]] == [
        "spec.ephemeralContainers[0].targetContainerName",
        "spec.ephemeralContainers[0].ports",
    ]


def test_kubectl_debug_adds_one(api_server, namespace, pod):
    kubectl = api_server.kubectl
    kubectl("-n", namespace, "debug", "p", "--image=busybox:1.36", "--target=c", "-c", "look", "--attach=false")
    found = json.loads(kubectl("-n", namespace, "get", "pod", "p", "-o", "json"))
    assert found["spec"]["ephemeralContainers"][0]["name"] == "look"
