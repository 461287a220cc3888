"""What a pod's status says."""

import pytest

from labkit.glassbox.kubelet.runtime import Actual
from labkit.glassbox.kubelet.status import Waiting, status_of
from tests.test_kubelet_actions import DEAD_SANDBOX, actual, container, pod


def status(the_pod, found, waiting=None):
    return status_of(the_pod, found, waiting or {}, "172.30.0.11", 1000.0)


def conditions(found):
    return {each["type"]: each["status"] for each in found["conditions"]}


def test_a_pod_that_runs_is_ready_and_has_its_address():
    found = status(pod(), actual(container()))
    assert found["phase"] == "Running"
    assert (found["podIP"], found["hostIP"]) == ("10.244.1.2", "172.30.0.11")
    assert set(conditions(found).values()) == {"True"}
    shown = found["containerStatuses"][0]
    assert shown["state"] == {"running": {"startedAt": "1970-01-01T00:01:39Z"}}
    assert (shown["ready"], shown["restartCount"], shown["containerID"]) == (True, 0, "glassbox://id")


def test_a_pod_without_containers_yet_is_pending():
    found = status(pod(), Actual())
    assert found["phase"] == "Pending"
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    ready = next(each for each in found["conditions"] if each["type"] == "Ready")
    assert (ready["status"], ready["reason"], ready["message"]) == (
        "False",
        "ContainersNotReady",
        "containers with unready status: [web]",
    )


def test_a_container_that_backs_off_shows_why_and_how_it_ended():
    waiting = {"web": Waiting("CrashLoopBackOff", "back-off 10s restarting failed container=web")}
    found = status(pod(), actual(container(attempt=1, exit_code=7)), waiting)
    shown = found["containerStatuses"][0]
    assert shown["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert shown["lastState"]["terminated"]["exitCode"] == 7
    assert (found["phase"], shown["restartCount"]) == ("Running", 1)


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 3), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 3), "Running"),
        ("Always", (0, 0), "Running"),
    ],
)
def test_the_phase_of_a_pod_whose_containers_ended(policy, codes, phase):
    ended = [container(name, exit_code=code) for name, code in zip(("a", "b"), codes, strict=True)]
    assert status(pod(policy, containers=("a", "b")), actual(*ended))["phase"] == phase


def test_a_pod_that_succeeded_says_so_in_its_conditions():
    found = status(pod("Never"), actual(container(exit_code=0), sandbox=DEAD_SANDBOX))
    assert conditions(found) == {
        "PodReadyToStartContainers": "False",
        "Initialized": "True",
        "Ready": "False",
        "ContainersReady": "False",
        "PodScheduled": "True",
    }
    assert {each.get("reason") for each in found["conditions"][1:4]} == {"PodCompleted"}


def test_a_finished_pod_never_runs_again():
    over = {**pod(), "status": {"phase": "Failed"}}
    assert status(over, actual(container()))["phase"] == "Failed"


def test_a_condition_keeps_the_time_of_its_last_change():
    first = status(pod(), actual(container()))
    again = status_of({**pod(), "status": first}, actual(container()), {}, "172.30.0.11", 2000.0)
    assert again == first
    later = status_of({**pod(), "status": first}, actual(container(exit_code=1)), {}, "172.30.0.11", 2000.0)
    times = {each["type"]: each["lastTransitionTime"] for each in later["conditions"]}
    assert times["Ready"] != times["PodScheduled"]


def test_init_containers_are_shown_apart():
    found = status(pod(init=("one",)), actual(container("one")))
    assert found["phase"] == "Pending"
    assert "running" in found["initContainerStatuses"][0]["state"]
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    initialized = next(each for each in found["conditions"] if each["type"] == "Initialized")
    assert initialized["message"] == "containers with incomplete status: [one]"
