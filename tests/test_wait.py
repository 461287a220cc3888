"""Waiting on a running cluster: two stable lines, and what was seen when the time is over."""

import threading
import uuid

import pytest

from labkit.api import Api
from labkit.errors import LabError, WaitTimeout
from labkit.wait import Waiter, describe, parse_condition, parse_target

POD = {
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": "busybox:1.36", "command": ["sleep", "1000"]}],
    },
}


@pytest.fixture(scope="module")
def api(cluster):
    return Api(cluster.kubeconfig)


@pytest.fixture
def namespace(api):
    name = f"t-{uuid.uuid4().hex[:8]}"
    api.create("namespaces", {"metadata": {"name": name}})
    account = parse_target("serviceaccount/default")
    Waiter(api, name).until(account, parse_condition("Exists"), timeout=20, namespace=name)
    yield name
    api.delete("pods", "", name, grace=0)
    api.delete("namespaces", name)


@pytest.fixture
def waiter(api, namespace):
    return Waiter(api, namespace)


def pod(**spec):
    return {**POD, "spec": {**POD["spec"], **spec}}


@pytest.mark.cluster
def test_a_wait_says_two_lines_that_never_change(api, namespace, waiter, capsys):
    api.create("pods", POD, namespace)
    waiter.wait("pod/web", "Ready", timeout=30)
    assert capsys.readouterr().out == (
        "• waiting until pod/web is Ready (a second or two; longer when an image must be fetched; at most 30 s)\n"
        "✓ pod/web is Ready\n"
    )


@pytest.mark.cluster
def test_what_comes_later_is_seen_by_the_watch(api, namespace, waiter):
    later = threading.Timer(0.3, api.create, ["configmaps", {"metadata": {"name": "late"}}, namespace])
    later.start()
    waiter.wait("configmap/late", "Exists", timeout=20)
    later.join()


@pytest.mark.cluster
def test_deleted_means_gone(api, namespace, waiter):
    api.create("pods", POD, namespace)
    waiter.wait("pod/web", "Ready", timeout=30)
    api.delete("pods", "web", namespace)
    waiter.wait("pod/web", "Deleted", timeout=30)
    assert api.get("pods", "web", namespace) is None


@pytest.mark.cluster
def test_a_path_may_be_waited_for(api, namespace, waiter):
    api.create("pods", POD, namespace)
    waiter.wait("pods app=web", ".status.phase=Running", timeout=30)


@pytest.mark.cluster
def test_a_timeout_tells_what_was_seen_last_and_where_to_look(api, namespace, waiter):
    api.create("pods", pod(containers=[{"name": "main", "image": "no.such/image:1"}]), namespace)
    waiter.wait("pod/web", "PodScheduled", timeout=20)
    with pytest.raises(WaitTimeout) as caught:
        waiter.wait("pod/web", "Ready", timeout=3)
    message = str(caught.value)
    assert "pod/web is not Ready after 3 s" in message
    assert "Pending" in message
    assert "Image" in message
    assert f"kubectl describe pod web -n {namespace}" in message


@pytest.mark.cluster
def test_a_timeout_on_nothing_says_that_there_is_nothing(namespace, waiter):
    with pytest.raises(WaitTimeout, match=f"no pod of that name or label in namespace {namespace}"):
        waiter.wait("pod/none", "Ready", timeout=1)


@pytest.mark.parametrize("bad", ["web", "pod/", ""])
def test_a_target_without_a_name_is_refused(bad):
    with pytest.raises(LabError, match="names nothing to wait for"):
        parse_target(bad)


def test_a_condition_of_an_earlier_generation_does_not_count():
    available = {"conditions": [{"type": "Available", "status": "True"}]}
    deployment = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, **available}}
    assert not parse_condition("Available").holds([deployment])
    deployment["status"]["observedGeneration"] = 2
    assert parse_condition("Available").holds([deployment])


def test_no_objects_satisfy_only_deleted():
    assert not parse_condition("Ready").holds([])
    assert not parse_condition(".status.replicas=3").holds([])
    assert parse_condition("Deleted").holds([])


def test_values_are_compared_as_kubectl_writes_them():
    assert parse_condition(".spec.paused=true").holds([{"spec": {"paused": True}}])
    assert parse_condition(".status.replicas=3").holds([{"status": {"replicas": 3}}])


def test_an_object_is_described_by_what_keeps_it():
    waiting = {"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    obj = {
        "kind": "Pod",
        "metadata": {"name": "web"},
        "status": {"phase": "Pending", "containerStatuses": [waiting]},
    }
    assert describe(obj) == "pod/web · Pending · container main waiting: ImagePullBackOff no such image"
