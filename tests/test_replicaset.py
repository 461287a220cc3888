"""The reconcile loop: as many pods as the spec says, by owner and not by name."""

import pytest

from labkit.glassbox.controllers.pods import least_missed
from labkit.glassbox.controllers.replicaset import Failure, plan, status_of
from labkit.glassbox.errors import ApiError
from tests.components import become_ready, client, controllers, events, names, pod, workload
from tests.embedded import eventually

NOW = 1767225600.0  # 2026-01-01T00:00:00Z


def fake(name, *, node="node1", phase="Running", ready="2025-12-31T23:00:00Z", restarts=0, cost=None, created=0):
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": ready}] if ready else []
    annotations = {"controller.kubernetes.io/pod-deletion-cost": cost} if cost else {}
    return {
        "metadata": {
            "name": name,
            "labels": {"app": "web"},
            "annotations": annotations,
            "creationTimestamp": f"2025-12-31T22:00:0{created}Z",
        },
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": ready, "containerStatuses": [{"restartCount": restarts}]},
    }


def rs(replicas, **status):
    spec = {"replicas": replicas, "template": {"metadata": {"labels": {"app": "web"}}}}
    return {"metadata": {"name": "web", "generation": 2}, "spec": spec, "status": status}


@pytest.mark.parametrize(("wanted", "there", "missing", "surplus"), [(3, 1, 2, 0), (2, 2, 0, 0), (0, 2, 0, 2)])
def test_plan_counts_what_is_missing_and_what_is_too_much(wanted, there, missing, surplus):
    to_make, to_delete = plan(rs(wanted), [fake(str(number)) for number in range(there)])
    assert (to_make, len(to_delete)) == (missing, surplus)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (fake("unassigned", node=None), fake("assigned", phase="Pending")),
        (fake("pending", phase="Pending", ready=None), fake("running", ready=None)),
        (fake("not ready", ready=None), fake("ready")),
        (fake("cheap", cost="-5"), fake("plain")),
        (fake("ready for less long", ready="2025-12-31T23:30:00Z"), fake("ready for long")),
        (fake("restarted", restarts=3), fake("never restarted")),
        (fake("young", created=9), fake("old")),
    ],
)
def test_the_pod_that_is_missed_least_goes_first(first, second):
    assert least_missed([second, first]) == [first, second]


def test_a_crowded_node_gives_up_its_pods_first():
    crowd = [fake("a", node="node1"), fake("b", node="node2"), fake("c", node="node2")]
    assert least_missed(crowd)[-1]["metadata"]["name"] == "a"


def test_status_counts():
    pods = [fake("a"), fake("b", ready=None), fake("c", ready="2025-12-31T23:59:55Z")]
    own = rs(3)
    own["spec"]["minReadySeconds"] = 10
    assert status_of(own, pods, 1, NOW) == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 2,
    }


def test_a_failure_is_a_condition_until_a_round_succeeds():
    failed = status_of(rs(1), [], 0, NOW, Failure("FailedCreate", ApiError(403, "Forbidden", "no")))
    assert failed["conditions"] == [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate",
            "message": "no",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]
    assert "conditions" not in status_of(rs(1, conditions=failed["conditions"]), [], 0, NOW)


# -- the controller's process against an API server alone: nothing runs, so pods stay Pending until they are deleted


@pytest.fixture(scope="module")
def controller(api_server):
    with controllers(api_server.kubeconfig, "replicaset-controller"):
        yield client(api_server)


def pods_of(api, namespace, name="web"):
    return api.list("pods", namespace, label_selector=f"app={name}")["items"]


def make(api, namespace, replicas=2, name="web"):
    made = api.create("replicasets", workload("ReplicaSet", name, namespace, replicas))
    eventually(lambda: len(pods_of(api, namespace, name)) == replicas)
    return made


def test_a_deleted_pod_comes_back_under_another_name(controller, namespace):
    make(controller, namespace)
    before = names(pods_of(controller, namespace))
    victim = min(before)
    controller.delete("pods", victim, namespace)
    after = eventually(lambda: (found := names(pods_of(controller, namespace))) != before and len(found) == 2 and found)
    assert victim not in after
    assert len(after & before) == 1


def test_a_relabelled_pod_is_released_and_replaced(controller, namespace):
    make(controller, namespace)
    victim = min(names(pods_of(controller, namespace)))
    controller.patch("pods", victim, namespace, {"metadata": {"labels": {"app": "quarantine"}}})
    eventually(lambda: len(pods_of(controller, namespace)) == 2)
    eventually(lambda: not controller.get("pods", victim, namespace)["metadata"].get("ownerReferences"))


def test_a_pod_that_leaves_with_label_and_owner_at_once_is_replaced(controller, namespace):
    make(controller, namespace)
    victim = min(names(pods_of(controller, namespace)))
    left = {"metadata": {"labels": {"app": "quarantine"}, "ownerReferences": None}}
    controller.patch("pods", victim, namespace, left)
    eventually(lambda: len(pods_of(controller, namespace)) == 2)


def test_an_orphan_that_matches_is_adopted(controller, namespace):
    orphan = controller.create("pods", pod("orphan", namespace, labels={"app": "web"}))
    made = controller.create("replicasets", workload("ReplicaSet", "web", namespace, 2))
    eventually(lambda: len(pods_of(controller, namespace)) == 2)
    [reference] = eventually(lambda: controller.get("pods", "orphan", namespace)["metadata"].get("ownerReferences"))
    assert (reference["uid"], reference["controller"]) == (made["metadata"]["uid"], True)
    assert controller.get("pods", "orphan", namespace)["metadata"]["uid"] == orphan["metadata"]["uid"]


def test_scaling_up_and_down(controller, namespace):
    make(controller, namespace)
    for replicas in (5, 1, 0):
        controller.patch("replicasets", "web", namespace, {"spec": {"replicas": replicas}})
        eventually(lambda replicas=replicas: len(pods_of(controller, namespace)) == replicas)


def test_status_follows_the_pods(controller, namespace):
    make(controller, namespace)
    for each in pods_of(controller, namespace):
        become_ready(controller, each)
    eventually(lambda: controller.get("replicasets", "web", namespace)["status"].get("availableReplicas") == 2)
    assert controller.get("replicasets", "web", namespace)["status"] == {
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "terminatingReplicas": 0,
        "observedGeneration": 1,
    }


def test_what_it_does_is_told(controller, namespace):
    make(controller, namespace, 1)
    [made] = names(pods_of(controller, namespace))
    controller.patch("replicasets", "web", namespace, {"spec": {"replicas": 0}})
    told = eventually(lambda: (found := events(controller, namespace, "web"))[1:] and found)
    assert told == [("SuccessfulCreate", f"Created pod: {made}"), ("SuccessfulDelete", f"Deleted pod: {made}")]


def test_a_pod_that_is_refused_is_told_in_the_status(controller, namespace):
    controller.delete("serviceaccounts", "default", namespace)
    controller.create("replicasets", workload("ReplicaSet", "web", namespace, 1))
    [failure] = eventually(
        lambda: (controller.get("replicasets", "web", namespace).get("status") or {}).get("conditions")
    )
    assert (failure["type"], failure["reason"]) == ("ReplicaFailure", "FailedCreate")
    assert "service account" in failure["message"] or "serviceaccount" in failure["message"]


def test_no_pod_is_made_twice_under_load(controller, namespace):
    sets = [f"web{number}" for number in range(5)]
    made = []
    for name in sets:
        made.append(controller.create("replicasets", workload("ReplicaSet", name, namespace, 20)))
    for own in made:
        name = own["metadata"]["name"]
        eventually(
            lambda name=name: controller.get("replicasets", name, namespace).get("status", {}).get("replicas") == 20
        )
    assert len(controller.list("pods", namespace)["items"]) == 100
    assert not [each for each in controller.list("events", namespace)["items"] if each["reason"] == "SuccessfulDelete"]


def test_a_replication_controller_does_the_same_by_a_plain_map_of_labels(api_server, namespace):
    api = client(api_server)
    made = {**workload("ReplicationController", "web", namespace, 2), "apiVersion": "v1"}
    made["spec"]["selector"] = {"app": "web"}
    with controllers(api_server.kubeconfig, "replication-controller"):
        orphan = api.create("pods", pod("orphan", namespace, labels={"app": "web"}))
        api.create("replicationcontrollers", made)
        eventually(lambda: api.get("replicationcontrollers", "web", namespace)["status"]["replicas"] == 2)
        adopted = eventually(lambda: api.get("pods", "orphan", namespace)["metadata"].get("ownerReferences"))
        assert (adopted[0]["kind"], adopted[0]["apiVersion"]) == ("ReplicationController", "v1")
        api.delete("pods", orphan["metadata"]["name"], namespace)
        eventually(lambda: len(names(pods_of(api, namespace)) - {"orphan"}) == 2)
        expected = {"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1}
        eventually(lambda: api.get("replicationcontrollers", "web", namespace)["status"] == expected)
