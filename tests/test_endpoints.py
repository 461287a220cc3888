"""Services and the addresses behind them: endpoint slices and endpoints."""

import json

import pytest

from labkit.glassbox.controllers.endpoint import subsets
from labkit.glassbox.controllers.endpointslice import LARGEST, plan
from tests.embedded import eventually
from tests.live import fresh_namespace, make

SERVICE = {
    "metadata": {"name": "web", "namespace": "n", "uid": "s", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
}


def pod(name, *, ready=True, port=8080, deleting=False, **spec):
    metadata = {"name": name, "namespace": "n", "uid": f"uid-{name}", "labels": {"app": "web"}}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    container = {"name": "c", "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}]}
    status = {"podIP": f"10.244.1.{name}", "phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    return {"metadata": metadata, "spec": {"containers": [container], "nodeName": "node1", **spec}, "status": status}


def kept(changes):
    """Return the slices as the API would hold them after these changes."""
    return [
        {**change.obj, "metadata": {"name": f"s{number}", **change.obj["metadata"]}}
        for number, change in enumerate(changes)
        if change.verb != "delete"
    ]


def addresses(changes):
    return [(change.verb, [each["addresses"][0] for each in change.obj["endpoints"]]) for change in changes]


def test_a_service_without_pods_has_one_empty_slice():
    [change] = plan(SERVICE, [], [], {})
    assert (change.verb, change.obj["endpoints"], change.obj["ports"]) == ("create", [], [])


@pytest.mark.parametrize(
    ("one", "conditions"),
    [
        (pod("5"), {"ready": True, "serving": True, "terminating": False}),
        (pod("5", ready=False), {"ready": False, "serving": False, "terminating": False}),
        (pod("5", deleting=True), {"ready": False, "serving": True, "terminating": True}),
    ],
)
def test_an_endpoint_tells_whether_it_may_be_sent_something(one, conditions):
    [change] = plan(SERVICE, [one], [], {"node1": "zone-a"})
    assert change.obj["endpoints"] == [
        {
            "addresses": ["10.244.1.5"],
            "conditions": conditions,
            "targetRef": {"kind": "Pod", "namespace": "n", "name": "5", "uid": "uid-5"},
            "nodeName": "node1",
            "zone": "zone-a",
        }
    ]


def test_pods_that_serve_at_other_ports_are_in_slices_of_their_own():
    changes = plan(SERVICE, [pod("1"), pod("2", port=9090)], [], {})
    assert [change.obj["ports"][0]["port"] for change in changes] == [8080, 9090]


def test_nothing_is_written_when_nothing_changed():
    held = kept(plan(SERVICE, [pod("1")], [], {}))
    assert plan(SERVICE, [pod("1")], held, {}) == []


def test_an_address_stays_in_its_slice():
    many = [pod(str(number)) for number in range(LARGEST + 5)]
    held = kept(plan(SERVICE, many, [], {}))
    assert [len(each["endpoints"]) for each in held] == [LARGEST, 5]
    [change] = plan(SERVICE, many[1:], held, {})
    assert (change.verb, len(change.obj["endpoints"])) == ("update", LARGEST - 1)


def test_the_last_pod_leaves_an_empty_slice_behind():
    held = kept(plan(SERVICE, [pod("1")], [], {}))
    assert addresses(plan(SERVICE, [], held, {})) == [("update", [])]


def test_slices_that_are_not_needed_any_more_go():
    held = kept(plan(SERVICE, [pod("1"), pod("2", port=9090)], [], {}))
    assert [change.verb for change in plan(SERVICE, [pod("1")], held, {})] == ["delete"]


def test_what_is_new_is_written_over_a_slice_that_would_go():
    [made] = plan(SERVICE, [], [], {})
    made.obj["metadata"]["name"] = "s"
    [change] = plan(SERVICE, [pod("1")], [made.obj], {})
    assert (change.verb, change.obj["metadata"]["name"]) == ("update", "s")
    assert change.obj["ports"]


def test_a_slice_of_an_earlier_service_of_that_name_is_not_written_over():
    [made] = plan({**SERVICE, "metadata": {**SERVICE["metadata"], "uid": "before"}}, [], [], {})
    made.obj["metadata"]["name"] = "s"
    assert [change.verb for change in plan(SERVICE, [pod("1")], [made.obj], {})] == ["create", "delete"]


def test_a_pod_has_a_name_in_the_service_that_is_its_subdomain():
    [change] = plan(SERVICE, [pod("1", hostname="web-0", subdomain="web")], [], {})
    assert change.obj["endpoints"][0]["hostname"] == "web-0"


def test_endpoints_hold_who_is_ready_apart_from_who_is_not():
    [subset] = subsets(SERVICE, [pod("1"), pod("2", ready=False)])
    assert [each["ip"] for each in subset["addresses"]] == ["10.244.1.1"]
    assert [each["ip"] for each in subset["notReadyAddresses"]] == ["10.244.1.2"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


# -- on a cluster


@pytest.fixture
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        yield name


SERVER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "c",
                        "image": "busybox:1.36",
                        "command": ["sleep", "1000"],
                        "ports": [{"name": "http", "containerPort": 8080}],
                    }
                ],
            },
        },
    },
}


def get(cluster, namespace, *what):
    return json.loads(cluster.kubectl("-n", namespace, "get", *what, "-o", "json"))


def slice_of(cluster, namespace, name):
    found = get(cluster, namespace, "endpointslices", f"-l=kubernetes.io/service-name={name}")["items"]
    return sorted(each["targetRef"]["name"] for one in found for each in one["endpoints"] or [])


def pods_of(cluster, namespace):
    return sorted(pod["metadata"]["name"] for pod in get(cluster, namespace, "pods", "-l=app=web")["items"])


def test_a_services_endpoints_follow_its_pods(cluster, namespace):
    make(cluster, namespace, SERVER)
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/web")
    cluster.kubectl("-n", namespace, "expose", "deployment", "web", "--port=80", "--target-port=http")
    pods = pods_of(cluster, namespace)
    assert len(pods) == 2
    eventually(lambda: slice_of(cluster, namespace, "web") == pods)
    shown = cluster.kubectl("-n", namespace, "get", "endpoints", "web", "--no-headers")
    assert shown.split()[1].count(":8080") == 2
    cluster.kubectl("-n", namespace, "label", "pod", pods[0], "app=other", "--overwrite")
    eventually(lambda: pods[0] not in slice_of(cluster, namespace, "web"))
    eventually(lambda: slice_of(cluster, namespace, "web") == pods_of(cluster, namespace))
    cluster.kubectl("-n", namespace, "delete", "service", "web")
    eventually(lambda: not get(cluster, namespace, "endpointslices")["items"])
    eventually(lambda: not get(cluster, namespace, "endpoints")["items"])


def test_the_api_is_a_service_itself(cluster):
    service = get(cluster, "default", "service", "kubernetes")
    [endpoint] = get(cluster, "default", "endpointslice", "kubernetes")["endpoints"]
    assert (service["spec"]["clusterIP"], endpoint["addresses"]) == ("10.96.0.1", ["172.30.0.1"])
