"""Evictions: a budget refuses, is charged, or looks away; and `kubectl drain`, which evicts."""

import pytest

POD = {"containers": [{"name": "c", "image": "busybox:1.36"}], "nodeName": "somewhere"}


@pytest.fixture
def room(api_server, namespace):
    return Room(api_server, namespace)


class Room:
    """A namespace with pods and budgets whose statuses the test writes, as kubelet and controller would."""

    def __init__(self, api_server, namespace):
        self.server, self.namespace = api_server, namespace
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        self.budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"

    def pod(self, name="p", phase="Running", ready="True"):
        body = {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": POD}
        assert self.server.request("POST", self.pods, body)[0] == 201
        status = {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}
        self.patch(f"{self.pods}/{name}/status", {"status": status})

    def budget(self, allowed, name="b", healthy=1, wanted=1, **spec):
        body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec}}
        assert self.server.request("POST", self.budgets, body)[0] == 201
        status = {"observedGeneration": 1, "disruptionsAllowed": allowed, "expectedPods": 1}
        status |= {"currentHealthy": healthy, "desiredHealthy": wanted}
        self.patch(f"{self.budgets}/{name}/status", {"status": status})

    def patch(self, path, body):
        answer = self.server.request("PATCH", path, body, content_type="application/merge-patch+json")
        assert answer[0] == 200, answer

    def evict(self, name="p", query="", **options):
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, **options}
        return self.server.request("POST", f"{self.pods}/{name}/eviction{query}", body)

    def get(self, path):
        return self.server.request("GET", path)[1]

    def is_deleting(self, name="p"):
        return "deletionTimestamp" in self.get(f"{self.pods}/{name}")["metadata"]


def test_a_pod_without_a_budget_goes_and_says_why(room):
    room.pod()
    code, answer = room.evict()
    assert (code, answer["status"]) == (201, "Success")
    reasons = [each.get("reason") for each in room.get(f"{room.pods}/p")["status"]["conditions"]]
    assert room.is_deleting()
    assert reasons == [None, "EvictionByEvictionAPI"]


def test_a_budget_that_allows_nothing_refuses(room):
    room.pod()
    room.budget(allowed=0, healthy=1, wanted=1)
    code, refusal = room.evict()
    assert (code, refusal["reason"]) == (429, "TooManyRequests")
    assert refusal["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    told = "The disruption budget b needs 1 healthy pods and has 1 currently"
    assert refusal["details"] == {"causes": [{"reason": "DisruptionBudget", "message": told}]}
    assert not room.is_deleting()


def test_a_budget_is_charged_for_an_eviction(room):
    room.pod()
    room.budget(allowed=1)
    assert room.evict()[0] == 201
    status = room.get(f"{room.budgets}/b")["status"]
    assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (0, ["p"])
    assert status["conditions"][0]["reason"] == "InsufficientPods"


def test_a_budget_that_its_controller_has_not_looked_at_refuses(room):
    room.pod()
    room.budget(allowed=1)
    room.patch(f"{room.budgets}/b", {"spec": {"minAvailable": 1}})
    told = "The disruption budget b is still being processed by the server."
    assert room.evict()[1]["details"]["causes"][0]["message"] == told


def test_a_dry_run_changes_neither_pod_nor_budget(room):
    room.pod()
    room.budget(allowed=1)
    assert room.evict(query="?dryRun=All")[0] == 201
    assert not room.is_deleting()
    assert room.get(f"{room.budgets}/b")["status"]["disruptionsAllowed"] == 1


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
def test_a_pod_that_does_not_run_goes_freely(room, phase):
    room.pod(phase=phase)
    room.budget(allowed=0)
    assert room.evict()[0] == 201


def test_an_unready_pod_goes_where_enough_are_healthy(room):
    room.pod(ready="False")
    room.budget(allowed=0, healthy=2, wanted=2)
    assert room.evict()[0] == 201


def test_an_unready_pod_stays_where_too_few_are_healthy(room):
    room.pod(ready="False")
    room.budget(allowed=0, healthy=1, wanted=2)
    assert room.evict()[0] == 429


def test_an_unready_pod_always_goes_where_the_budget_says_so(room):
    room.pod(ready="False")
    room.budget(allowed=0, healthy=1, wanted=2, unhealthyPodEvictionPolicy="AlwaysAllow")
    assert room.evict()[0] == 201


def test_two_budgets_for_one_pod_are_not_supported(room):
    room.pod()
    room.budget(allowed=1, name="a")
    room.budget(allowed=1, name="b")
    code, refusal = room.evict()
    told = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    assert (code, refusal["message"]) == (500, told)


def test_an_eviction_keeps_its_preconditions(room):
    room.pod()
    code, _ = room.evict(deleteOptions={"preconditions": {"uid": "another"}})
    assert code == 409
    assert not room.is_deleting()


def test_the_body_names_the_pod_of_the_url(room):
    room.pod()
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "q"}}
    code, refusal = room.server.request("POST", f"{room.pods}/p/eviction", body)
    assert (code, refusal["message"]) == (400, "name in URL does not match name in Eviction object")


def test_kubectl_drains_a_node(room):
    node = f"n-{room.namespace}"
    room.server.request("POST", "/api/v1/nodes", {"metadata": {"name": node}})
    body = {"metadata": {"name": "p"}, "spec": {**POD, "nodeName": node, "terminationGracePeriodSeconds": 0}}
    room.server.request("POST", room.pods, body)
    told = room.server.kubectl("drain", node, "--force", "--timeout=20s")
    assert f"evicting pod {room.namespace}/p" in told
    assert f"node/{node} drained" in told
    assert room.get(f"/api/v1/nodes/{node}")["spec"]["unschedulable"]
