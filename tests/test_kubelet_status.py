"""What a pod's status says."""

from dataclasses import replace

import pytest

from labkit.glassbox.kubelet.actions import NOTHING, Observed
from labkit.glassbox.kubelet.reporting import as_patch
from labkit.glassbox.kubelet.runtime import Actual
from labkit.glassbox.kubelet.status import Verdict, Waiting, status_of
from tests.test_kubelet_actions import DEAD_SANDBOX, actual, container, pod, seen, with_sidecar


def status(the_pod, found, waiting=None, observed=NOTHING, verdict=None):
    return status_of(the_pod, found, waiting or {}, "172.30.0.11", 1000.0, observed, verdict)


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


def test_a_status_is_written_so_that_others_conditions_stay(namespace, api_server):
    path = f"/api/v1/namespaces/{namespace}/pods"
    api_server.request("POST", path, {"metadata": {"name": "web"}, "spec": pod()["spec"]})
    theirs = [{"type": "example.com/in", "status": "True"}, {"type": "PodScheduled", "status": "True"}]
    strategic = "application/strategic-merge-patch+json"
    for change in (
        {"conditions": theirs},
        *(as_patch(status(pod(), found)) for found in (Actual(), actual(container()))),
    ):
        _, written = api_server.request("PATCH", f"{path}/web/status", {"status": change}, content_type=strategic)
    shown = written["status"]["conditions"]
    order = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
    assert [each["type"] for each in shown if each["type"] in order] == order
    assert "example.com/in" in [each["type"] for each in shown]
    assert not [each for each in shown if "reason" in each]


def why_not_ready(found):
    ready = next(each for each in found["conditions"] if each["type"] == "Ready")
    return ready.get("reason"), ready.get("message")


def test_a_container_is_ready_when_its_probes_say_so():
    found = status(pod(), actual(container()), observed=seen(web={"ready": False}))
    assert (found["containerStatuses"][0]["started"], found["containerStatuses"][0]["ready"]) == (True, False)
    assert why_not_ready(found) == ("ContainersNotReady", "containers with unready status: [web]")


def test_a_sidecar_counts_for_readiness():
    found = status(
        with_sidecar(init=("side",)), actual(container("side"), container()), observed=seen(side={"ready": False})
    )
    assert why_not_ready(found) == ("ContainersNotReady", "containers with unready status: [side]")


def test_a_container_whose_post_start_hook_runs_is_not_there_yet():
    found = status(pod(), actual(container()), observed=Observed(hooked=frozenset({"web"})))
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert found["phase"] == "Pending"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (None, 'corresponding condition of pod readiness gate "example.com/in" does not exist.'),
        ("False", 'the status of pod readiness gate "example.com/in" is not "True", but False'),
        ("True", None),
    ],
)
def test_a_readiness_gate_is_opened_by_somebody_else(said, message):
    gated = pod()
    gated["spec"]["readinessGates"] = [{"conditionType": "example.com/in"}]
    if said:
        gated["status"] = {"conditions": [{"type": "example.com/in", "status": said}]}
    found = status(gated, actual(container()))
    assert why_not_ready(found) == ("ReadinessGatesNotReady" if message else None, message)
    assert conditions(found)["ContainersReady"] == "True"


def test_a_pod_that_must_end_is_failed_when_nothing_runs_in_it_any_more():
    verdict = Verdict("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
    assert status(pod(), actual(container()), verdict=verdict)["phase"] == "Running"
    found = status(pod(), actual(container(exit_code=143)), verdict=verdict)
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", verdict.reason, verdict.message)


def test_termination_messages_of_a_pod_take_at_most_12_kib_together():
    said = [replace(container(name, exit_code=1), message="x" * 4096) for name in "abcd"]
    found = status(pod(containers=tuple("abcd")), actual(*said))
    assert [len(each["state"]["terminated"]["message"]) for each in found["containerStatuses"]] == [3072] * 4
