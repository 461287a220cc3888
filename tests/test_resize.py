"""pods/resize: what a container may use changes while it runs, or waits, or is refused."""

import json

import pytest

from tests.components import pod
from tests.embedded import eventually

AMOUNTS = {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}


def made(api_server, namespace, **more):
    """Create a pod of one container with amounts; return its path."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    container = {"name": "c", "image": "busybox:1.36", "resources": AMOUNTS, **more}
    code, answer = api_server.request("POST", path, pod("p", namespace, spec={"containers": [container]}))
    assert code == 201, answer
    return f"{path}/p"


def resize(api_server, path, resources, name="c"):
    change = {"spec": {"containers": [{"name": name, "resources": resources}]}}
    options = {"content_type": "application/strategic-merge-patch+json"}
    return api_server.request("PATCH", f"{path}/resize", change, **options)


def test_amounts_change_and_nothing_else(api_server, namespace):
    path = made(api_server, namespace)
    code, pod_ = resize(api_server, path, {"limits": {"cpu": "300m"}})
    assert code == 200, pod_
    assert pod_["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "300m", "memory": "64Mi"}
    assert pod_["metadata"]["generation"] == 2
    pod_["spec"]["containers"][0]["image"] = "other"
    pod_["metadata"]["labels"] = {"a": "b"}
    code, answer = api_server.request("PUT", f"{path}/resize", pod_)
    assert (code, answer["spec"]["containers"][0]["image"]) == (200, "busybox:1.36")
    assert answer["metadata"]["labels"] != {"a": "b"}


def test_the_pod_itself_still_cannot_be_given_other_amounts(api_server, namespace):
    path = made(api_server, namespace)
    change = {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "300m"}}}]}}
    code, _ = api_server.request("PATCH", path, change, content_type="application/strategic-merge-patch+json")
    assert code == 422


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        ({"requests": {"cpu": "500m"}}, "must be less than or equal to cpu limit of 200m"),
        ({"limits": {"memory": None}}, "resource limits cannot be removed"),
        ({"limits": {"ephemeral-storage": "1Gi"}}, "only cpu and memory resources are mutable"),
        ({"requests": AMOUNTS["limits"]}, "Pod QOS Class may not change as a result of resizing"),
    ],
)
def test_what_is_no_resize_is_refused(api_server, namespace, resources, told):
    code, refusal = resize(api_server, made(api_server, namespace), resources)
    assert code == 422
    assert told in refusal["message"]


def test_other_containers_are_refused(api_server, namespace):
    code, refusal = resize(api_server, made(api_server, namespace), {}, name="other")
    assert code == 422
    assert "containers may not be added or removed on resize" in refusal["message"]


@pytest.fixture
def running(cluster):
    """Return what runs a pod of the cluster: running(policy) → its name; they go with the test."""
    names = []

    def run(name, *policies):
        container = {
            "name": "c",
            "image": "busybox:1.36",
            "command": ["sh", "-c", "while :; do :; done"],
            "resources": AMOUNTS,
            "resizePolicy": [{"resourceName": each, "restartPolicy": "RestartContainer"} for each in policies],
        }
        obj = pod(name, "default", spec={"containers": [container], "terminationGracePeriodSeconds": 0})
        cluster.kubectl("create", "-f", "-", input=json.dumps(obj))
        names.append(name)
        cluster.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=50s")
        return name

    yield run
    if names:
        cluster.kubectl("delete", "pod", *names, "--wait=false")


def patched(cluster, name, resources):
    change = json.dumps({"spec": {"containers": [{"name": "c", "resources": resources}]}})
    cluster.kubectl("patch", "pod", name, "--subresource=resize", "-p", change)


def status(cluster, name):
    return json.loads(cluster.kubectl("get", "pod", name, "-o", "json"))["status"]


def test_a_container_is_held_to_other_limits_while_it_runs(cluster, running):
    name = running("grows")
    patched(cluster, name, {"limits": {"cpu": "400m", "memory": "128Mi"}})

    def held():
        found = status(cluster, name)["containerStatuses"][0]
        return found["resources"]["limits"] == {"cpu": "400m", "memory": "128Mi"} and found

    assert eventually(held, within=20)["restartCount"] == 0


def test_a_container_starts_again_where_its_policy_says_so(cluster, running):
    name = running("renewed", "memory")
    patched(cluster, name, {"limits": {"memory": "128Mi"}})

    def again():
        found = status(cluster, name)["containerStatuses"][0]
        return found["restartCount"] == 1 and "running" in found["state"] and found

    assert eventually(again, within=40)["resources"]["limits"]["memory"] == "128Mi"


def test_what_the_node_has_not_stays_pending_until_it_is_taken_back(cluster, running):
    name = running("greedy")
    patched(cluster, name, {"requests": {"cpu": "1000"}, "limits": {"cpu": "1000"}})

    def pending():
        return [each for each in status(cluster, name)["conditions"] if each["type"] == "PodResizePending"]

    assert eventually(pending, within=20)[0]["reason"] == "Infeasible"
    assert status(cluster, name)["containerStatuses"][0]["resources"]["limits"]["cpu"] == "200m"
    patched(cluster, name, {"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}})
    assert eventually(lambda: not pending(), within=20)
