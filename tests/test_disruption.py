"""A budget says how many of its pods may be evicted, and counts what its owners want."""

import pytest

from labkit.glassbox import clock
from tests.components import become_ready, client, controllers, events, pod, workload
from tests.embedded import eventually


@pytest.fixture(scope="module")
def api(api_server):
    with controllers(api_server.kubeconfig, "disruption-controller"):
        yield client(api_server)


def budget(api, namespace, labels=None, **spec):
    spec = {"selector": {"matchLabels": labels or {"app": "web"}}, **spec}
    body = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "pdb", "namespace": namespace},
    }
    return api.create("poddisruptionbudgets", {**body, "spec": spec})


def serve(api, namespace, replicas, ready, kind="ReplicaSet"):
    """Make an owner that wants so many pods, and as many pods of which some are ready."""
    owner = api.create("replicasets", workload("ReplicaSet", "web", namespace, replicas))
    reference = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "name": "web",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    for number in range(replicas):
        body = pod(f"web-{number}", namespace, labels={"app": "web"}, metadata={"ownerReferences": [reference]})
        made = api.create("pods", body)
        if number < ready:
            become_ready(api, made)


def status(api, namespace, **expected):
    """Wait until the budget's status has these values; return all of it."""

    def holds():
        found = api.get("poddisruptionbudgets", "pdb", namespace).get("status") or {}
        return found if expected.items() <= found.items() else None

    return eventually(holds)


def condition(found):
    [allowed] = found["conditions"]
    return allowed["status"], allowed["reason"], allowed["message"]


@pytest.mark.parametrize(
    ("spec", "desired", "allowed"),
    [
        ({"minAvailable": 2}, 2, 1),
        ({"minAvailable": 4}, 4, 0),
        ({"minAvailable": "50%"}, 2, 1),
        ({"maxUnavailable": 1}, 3, 0),
        ({"maxUnavailable": 2}, 2, 1),
        ({"maxUnavailable": "30%"}, 2, 1),
    ],
)
def test_how_many_may_be_evicted_of_four_of_which_three_are_ready(api, namespace, spec, desired, allowed):
    serve(api, namespace, 4, ready=3)
    budget(api, namespace, **spec)
    found = status(api, namespace, currentHealthy=3, expectedPods=4)
    assert (found["desiredHealthy"], found["disruptionsAllowed"]) == (desired, allowed)
    assert condition(found) == (str(allowed > 0), "SufficientPods" if allowed else "InsufficientPods", "")
    assert found["observedGeneration"] == 1


def test_it_follows_the_pods(api, namespace):
    serve(api, namespace, 2, ready=2)
    budget(api, namespace, minAvailable=1)
    status(api, namespace, disruptionsAllowed=1)
    api.delete("pods", "web-0", namespace)
    status(api, namespace, disruptionsAllowed=0, currentHealthy=1)


def test_without_pods_nothing_is_allowed(api, namespace):
    budget(api, namespace, minAvailable=0)
    found = status(api, namespace, expectedPods=0, observedGeneration=1)
    assert found["disruptionsAllowed"] == 0
    assert ("NoPods", "No matching pods found") in eventually(lambda: events(api, namespace, "pdb"))


def test_a_pod_whose_eviction_was_granted_is_not_healthy_any_more(api, namespace):
    serve(api, namespace, 2, ready=2)
    budget(api, namespace, minAvailable=1)
    found = status(api, namespace, disruptionsAllowed=1)
    evicted = {**found, "disruptionsAllowed": 0, "disruptedPods": {"web-0": clock.rfc3339(api_now(api, namespace))}}
    api.patch("poddisruptionbudgets", "pdb", namespace, {"status": evicted}, subresource="status")
    assert "web-0" in status(api, namespace, currentHealthy=1, disruptionsAllowed=0)["disruptedPods"]


def test_after_two_minutes_it_is_counted_again(api, namespace):
    serve(api, namespace, 2, ready=2)
    budget(api, namespace, minAvailable=1)
    found = status(api, namespace, disruptionsAllowed=1)
    late = clock.rfc3339(api_now(api, namespace) - 121)
    evicted = {**found, "disruptionsAllowed": 0, "disruptedPods": {"web-0": late}}
    api.patch("poddisruptionbudgets", "pdb", namespace, {"status": evicted}, subresource="status")
    assert "disruptedPods" not in status(api, namespace, currentHealthy=2, disruptionsAllowed=1)
    message = f"Pod was expected by PDB {namespace}/pdb to be deleted but it wasn't"
    assert ("NotDeleted", message) in eventually(lambda: events(api, namespace, "web-0"))


def api_now(api, namespace):
    return clock.parse(api.get("poddisruptionbudgets", "pdb", namespace)["metadata"]["creationTimestamp"])


def test_pods_without_an_owner_are_told_of(api, namespace):
    become_ready(api, api.create("pods", pod("bare", namespace, labels={"app": "web"})))
    budget(api, namespace, maxUnavailable=1)
    status(api, namespace, observedGeneration=1, currentHealthy=1, expectedPods=0, disruptionsAllowed=0)
    told = dict(eventually(lambda: events(api, namespace, "pdb")))
    selector = "&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},}"
    assert told["UnmanagedPods"].startswith(
        f"Pods selected by this PodDisruptionBudget (selector: {selector}) were found"
    )


def test_an_owner_that_is_not_there_fails_safe(api, namespace):
    serve(api, namespace, 1, ready=1)
    api.delete("replicasets", "web", namespace)
    budget(api, namespace, maxUnavailable=1)
    message = 'found no controllers for pod "web-0"'
    assert condition(status(api, namespace, disruptionsAllowed=0, conditions=conditions(api, namespace))) == (
        "False",
        "SyncFailed",
        message,
    )


def conditions(api, namespace):
    return eventually(lambda: (api.get("poddisruptionbudgets", "pdb", namespace).get("status") or {}).get("conditions"))


def test_of_a_replica_set_the_deployment_says_how_many(api, namespace):
    web = api.create("deployments", workload("Deployment", "web", namespace, 4))
    reference = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "uid": web["metadata"]["uid"],
        "controller": True,
    }
    old, new = (workload("ReplicaSet", name, namespace, 1) for name in ("old", "new"))
    for each in (old, new):
        each["metadata"]["ownerReferences"] = [reference]
        made = api.create("replicasets", each)
        own = {**reference, "kind": "ReplicaSet", "name": each["metadata"]["name"], "uid": made["metadata"]["uid"]}
        name = f"{each['metadata']['name']}-pod"
        api.create("pods", pod(name, namespace, labels={"app": "web"}, metadata={"ownerReferences": [own]}))
    budget(api, namespace, maxUnavailable=1)
    assert status(api, namespace, expectedPods=4)["desiredHealthy"] == 3
