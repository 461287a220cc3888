"""A job makes pods until enough have succeeded, counts each once, and says how it ended.

The controller is its own process against an API server alone; what a kubelet would say of the pods the test says.
"""

import random
import subprocess
import sys

import pytest

from labkit.glassbox import clock
from labkit.glassbox.controllers.job_pods import TRACKING
from tests.components import become_ready, client, controllers, events, names, pod
from tests.embedded import eventually

GONE = "2026-01-01T00:00:00Z"  # when failed pods of these tests ended: no back-off is left


@pytest.fixture(scope="module")
def api(api_server):
    with controllers(api_server.kubeconfig, "job-controller", "garbage-collector-controller"):
        yield client(api_server)


def make(api, namespace, name="sum", *, metadata=None, **spec):
    container = {"name": "c", "image": "busybox:1.36", "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace}}
    return api.create("jobs", {**body, "spec": {"template": template, **spec}})


def pods_of(api, namespace, name="sum"):
    return api.list("pods", namespace, label_selector=f"batch.kubernetes.io/job-name={name}")["items"]


def active_of(api, namespace, count, name="sum"):
    """Wait until so many of the job's pods have not ended; return them by name."""

    def right():
        found = [
            each for each in pods_of(api, namespace, name) if each["status"].get("phase") in ("Pending", "Running")
        ]
        found = [each for each in found if "deletionTimestamp" not in each["metadata"]]
        return sorted(found, key=lambda each: each["metadata"]["name"]) if len(found) == count else None

    return eventually(right) if count else []


def end(api, each, code=0, finished=GONE):
    """Say of a pod that its container has ended."""
    terminated = {"exitCode": code, "finishedAt": finished, "reason": "Error" if code else "Completed"}
    container = {"name": "c", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    statuses = [{**container, "state": {"terminated": terminated}}]
    status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": statuses}
    metadata = each["metadata"]
    api.patch("pods", metadata["name"], metadata["namespace"], {"status": status}, subresource="status")


def status(api, namespace, name="sum", **expected):
    """Wait until the job's status has these values; return all of it."""

    def holds():
        found = api.get("jobs", name, namespace).get("status") or {}
        return found if all(found.get(field) == value for field, value in expected.items()) else None

    return eventually(holds)


def ended(api, namespace, name="sum"):
    """Wait for the job's last condition; return (type, reason, message) of all."""

    def over():
        found = (api.get("jobs", name, namespace).get("status") or {}).get("conditions") or []
        return found if {"Complete", "Failed"} & {each["type"] for each in found} else None

    return [(each["type"], each["reason"], each["message"]) for each in eventually(over)]


def told(api, namespace, count):
    """Wait until so many events of the job are there; return their reasons."""

    def reasons():
        found = [reason for reason, _ in events(api, namespace, "sum")]
        return found if len(found) >= count else None

    return eventually(reasons)


REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")
LIMIT = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")


def test_a_job_ends_when_enough_pods_have_succeeded(api, namespace):
    make(api, namespace, completions=3, parallelism=2)
    first, second = active_of(api, namespace, 2)
    assert status(api, namespace, active=2)["ready"] == 0
    end(api, first)
    end(api, second)
    [third] = active_of(api, namespace, 1)
    end(api, third)
    assert ended(api, namespace) == [("SuccessCriteriaMet", *REACHED), ("Complete", *REACHED)]
    found = api.get("jobs", "sum", namespace)["status"]
    assert "completionTime" in found
    assert {field: found.get(field) for field in ("succeeded", "active", "ready", "terminating")} == {
        "succeeded": 3,
        "active": None,
        "ready": 0,
        "terminating": 0,
    }
    assert found["uncountedTerminatedPods"] == {}
    assert not [each for each in pods_of(api, namespace) if each["metadata"].get("finalizers")]
    assert told(api, namespace, 4) == ["SuccessfulCreate"] * 3 + ["Completed"]
    assert events(api, namespace, "sum")[-1] == ("Completed", "Job completed")


def test_too_many_failures_end_it(api, namespace):
    make(api, namespace, backoffLimit=1)
    for _ in range(2):
        [each] = active_of(api, namespace, 1)
        end(api, each, code=1)
    assert ended(api, namespace) == [("FailureTarget", *LIMIT), ("Failed", *LIMIT)]
    assert status(api, namespace, failed=2)
    assert eventually(lambda: events(api, namespace, "sum")[-1] == LIMIT)


def test_a_failed_pod_is_not_replaced_at_once(api, namespace):
    make(api, namespace)
    [each] = active_of(api, namespace, 1)
    end(api, each, code=1, finished=clock.rfc3339(clock.parse(each["metadata"]["creationTimestamp"]) + 1))
    status(api, namespace, failed=1, uncountedTerminatedPods={})
    assert len(pods_of(api, namespace)) == 1


def test_a_pod_that_is_deleted_counts_as_failed_and_is_held_until_it_is(api, namespace):
    make(api, namespace, backoffLimit=0)
    [each] = active_of(api, namespace, 1)
    assert each["metadata"]["finalizers"] == [TRACKING]
    api.delete("pods", each["metadata"]["name"], namespace)
    assert ended(api, namespace)[-1] == ("Failed", *LIMIT)
    assert pods_of(api, namespace) == []


def test_a_deadline_ends_it_and_its_pods(api, namespace):
    make(api, namespace, activeDeadlineSeconds=1)
    why = ("DeadlineExceeded", "Job was active longer than specified deadline")
    assert ended(api, namespace) == [("FailureTarget", *why), ("Failed", *why)]
    assert status(api, namespace, failed=1)
    assert told(api, namespace, 3) == ["SuccessfulCreate", "SuccessfulDelete", "DeadlineExceeded"]


def test_each_index_has_a_pod_that_knows_it(api, namespace):
    make(api, namespace, completions=3, parallelism=2, completionMode="Indexed")
    first, second = active_of(api, namespace, 2)
    assert [each["spec"]["hostname"] for each in (first, second)] == ["sum-0", "sum-1"]
    end(api, second)
    status(api, namespace, completedIndexes="1", succeeded=1)
    _, third = active_of(api, namespace, 2)
    assert third["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] == "2"
    end(api, first)
    end(api, third)
    assert ended(api, namespace)[-1] == ("Complete", *REACHED)
    assert status(api, namespace, completedIndexes="0-2")


def test_an_index_that_is_given_up_leaves_the_others_their_chance(api, namespace):
    indexed = {"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 1}
    make(api, namespace, **indexed)
    for round in (0, 1):
        first, _ = active_of(api, namespace, 2)
        assert first["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == str(round)
        end(api, first, code=1)
    status(api, namespace, failedIndexes="0")
    [other] = active_of(api, namespace, 1)
    end(api, other)
    assert ended(api, namespace)[-1] == ("Failed", "FailedIndexes", "Job has failed indexes")
    assert status(api, namespace, completedIndexes="1", failed=2, succeeded=1)


def test_a_rule_for_an_exit_code_fails_it_at_once(api, namespace):
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    make(api, namespace, podFailurePolicy={"rules": [rule]})
    [each] = active_of(api, namespace, 1)
    end(api, each, code=42)
    why = f"Container c for pod {namespace}/{each['metadata']['name']} failed with exit code 42"
    why += " matching FailJob rule at index 0"
    assert ended(api, namespace) == [("FailureTarget", "PodFailurePolicy", why), ("Failed", "PodFailurePolicy", why)]


def test_a_success_policy_ends_it_early_and_its_pods(api, namespace):
    rule = {"succeededIndexes": "0"}
    indexed = {"completionMode": "Indexed", "completions": 3, "parallelism": 3, "backoffLimit": 0}
    make(api, namespace, **indexed, successPolicy={"rules": [rule]})
    leader, *_ = active_of(api, namespace, 3)
    end(api, leader)
    why = ("SuccessPolicy", "Matched rules at index 0")
    assert ended(api, namespace) == [("SuccessCriteriaMet", *why), ("Complete", *why)]
    assert status(api, namespace, succeeded=1, failed=None)


def test_suspend_takes_the_pods_and_resume_brings_them_back(api, namespace):
    made = make(api, namespace)
    active_of(api, namespace, 1)
    started = status(api, namespace, active=1)["startTime"]
    api.patch("jobs", "sum", namespace, {"spec": {"suspend": True}})
    found = eventually(lambda: status(api, namespace, active=None).get("conditions"))
    assert [(each["type"], each["status"], each["reason"]) for each in found] == [("Suspended", "True", "JobSuspended")]
    assert eventually(lambda: not pods_of(api, namespace))
    assert status(api, namespace, failed=None)
    api.patch("jobs", "sum", namespace, {"spec": {"suspend": False}})
    active_of(api, namespace, 1)
    [condition] = status(api, namespace, active=1)["conditions"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "JobResumed", "Job resumed")
    assert clock.parse(status(api, namespace)["startTime"]) >= clock.parse(started)
    assert told(api, namespace, 5) == [
        "SuccessfulCreate",
        "SuccessfulDelete",
        "Suspended",
        "SuccessfulCreate",
        "Resumed",
    ]
    assert made["spec"]["suspend"] is False


def test_more_parallelism_means_more_pods(api, namespace):
    make(api, namespace, completions=5, parallelism=1)
    active_of(api, namespace, 1)
    api.patch("jobs", "sum", namespace, {"spec": {"parallelism": 3}})
    active_of(api, namespace, 3)
    api.patch("jobs", "sum", namespace, {"spec": {"parallelism": 2}})
    active_of(api, namespace, 2)
    assert status(api, namespace, active=2).get("failed") is None


def test_a_deleted_job_takes_its_pods_with_it(api, namespace):
    make(api, namespace, parallelism=2, completions=2)
    active_of(api, namespace, 2)
    api.delete("jobs", "sum", namespace, propagation_policy="Background")
    assert eventually(lambda: not pods_of(api, namespace))


def test_a_job_may_go_without_its_pods_and_they_are_free_then(api, namespace):
    make(api, namespace)
    [each] = active_of(api, namespace, 1)
    api.delete("jobs", "sum", namespace, propagation_policy="Orphan")
    held = (
        "finalizers",
        "ownerReferences",
    )  # the job controller lets go of the one, the garbage collector of the other
    left = eventually(lambda: [pod for pod in pods_of(api, namespace) if not any(map(pod["metadata"].get, held))])
    assert [pod["metadata"]["uid"] for pod in left] == [each["metadata"]["uid"]]


def test_a_job_that_somebody_else_manages_is_left_alone(api, namespace):
    make(api, namespace, "theirs", managedBy="example.com/other")
    make(api, namespace)
    active_of(api, namespace, 1)
    assert pods_of(api, namespace, "theirs") == []


def test_a_pod_that_matches_is_adopted_and_counted(api, namespace):
    api.create("pods", pod("orphan", namespace, labels={"batch.kubernetes.io/job-name": "sum", "x": "y"}))
    make(api, namespace, manualSelector=True, selector={"matchLabels": {"x": "y"}}, **with_labels({"x": "y"}))
    held = eventually(lambda: api.get("pods", "orphan", namespace)["metadata"].get("finalizers"))
    assert held == [TRACKING]
    end(api, api.get("pods", "orphan", namespace))
    assert ended(api, namespace)[-1] == ("Complete", *REACHED)


def with_labels(labels):
    container = {"name": "c", "image": "busybox:1.36"}
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {"template": {"metadata": {"labels": labels}, "spec": spec}}


def test_ready_pods_are_counted(api, namespace):
    make(api, namespace, parallelism=2, completions=2)
    first, _ = active_of(api, namespace, 2)
    become_ready(api, first)
    status(api, namespace, active=2, ready=1)


def test_no_completion_is_counted_twice_or_done_twice_under_load(api, namespace):
    make(api, namespace, completions=40, parallelism=8)
    done = set()

    def step():
        for each in pods_of(api, namespace):
            name = each["metadata"]["name"]
            if name not in done:
                done.add(name)
                end(api, each)
        return (api.get("jobs", "sum", namespace)["status"] or {}).get("completionTime")

    eventually(step, within=30)
    assert status(api, namespace, succeeded=40)
    assert len(names(pods_of(api, namespace))) == 40


@pytest.mark.slow
def test_each_end_is_counted_once_however_often_the_controller_is_killed(own_api_server):
    api = client(own_api_server)
    api.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kills"}})
    api.create(
        "serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "kills"}},
    )
    make(api, "kills", completions=24, parallelism=4, backoffLimit=100)
    module = ["-m", "labkit.glassbox.controllers", "--kubeconfig", str(own_api_server.kubeconfig)]
    command = [sys.executable, *module, "--controllers", "job-controller"]
    chance, done = random.Random(7), set()

    def step():
        for each in pods_of(api, "kills"):
            name = each["metadata"]["name"]
            if name not in done:
                done.add(name)
                end(api, each, code=chance.choice([0, 0, 1]))
        return "completionTime" in (api.get("jobs", "sum", "kills").get("status") or {})

    kills = 0
    while not step():
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as controller:
            enough = len(done) + chance.randrange(1, 8)
            eventually(lambda enough=enough: step() or len(done) >= enough, within=20)
            controller.kill()
            kills += 1
    found = api.get("jobs", "sum", "kills")["status"]
    phases = [each["status"]["phase"] for each in pods_of(api, "kills")]
    assert kills > 3
    assert (found["succeeded"], found.get("failed", 0)) == (24, phases.count("Failed"))
    assert phases.count("Succeeded") == 24
