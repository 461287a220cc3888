"""Lesson 09: its checks, each with starter, reference, another right answer and likely wrong ones."""

import pytest

from labkit.checks import State
from labkit.loadtest import service
from tests.lessons import kubectl

LESSON = "09"


def wrong(lab, number, **answer):
    found = lab.check(number, **answer)
    assert found.state is State.WRONG
    return [each.name for each in found.findings if each.state is State.WRONG], found.hints


@pytest.fixture
def pods(lab):
    """The exercises' pods."""
    kubectl(f"create configmap service --from-file={service.__file__}")
    kubectl("apply -f web-1.yaml -f fragile.yaml")
    lab.wait("deployment/web-1", "Available")
    return lab


# --- exercise 09.1: a second in twenty ----------------------------------------------------------


@pytest.mark.cluster
class TestSecondInTwenty:
    def test_the_starter_is_not_tried(self, lab):
        assert lab.check("09.1", answer=...).state is State.NOT_TRIED

    @pytest.mark.parametrize("answer", [0.8, 4 / 5, "0.8"])
    def test_the_reference_is_right_as_a_number_or_in_words(self, lab, answer):
        assert lab.check("09.1", answer=answer).state is State.RIGHT

    @pytest.mark.parametrize(("answer", "hint"), [(0.9, "That would be right for a second in ten"), (1, "5 % of the")])
    def test_a_wrong_number_gets_a_hint_that_fits(self, lab, answer, hint):
        _, hints = wrong(lab, "09.1", answer=answer)
        assert hints[0].startswith(hint)


# --- exercise 09.2: enough replicas ----------------------------------------------------------


@pytest.mark.cluster
class TestReplicas:
    def test_the_starter_is_not_tried(self, pods):
        assert pods.check("09.2").state is State.NOT_TRIED

    @pytest.mark.parametrize("replicas", [4, 6])
    def test_the_reference_is_right_and_half_as_many_again_too(self, pods, replicas):
        kubectl(f"scale deployment web-1 --replicas={replicas}")
        pods.wait("deployment/web-1", f".status.readyReplicas={replicas}")
        assert pods.check("09.2").state is State.RIGHT

    def test_three_are_too_few_and_the_hint_says_why(self, pods):
        kubectl("scale deployment web-1 --replicas=3")
        pods.wait("deployment/web-1", ".status.readyReplicas=3")
        assert pods.check("09.2").state in (State.WRONG, State.CONVERGING)

    def test_faster_pods_are_not_the_answer(self, pods):
        kubectl("set env deployment/web-1 SERVICE_MS=5")
        kubectl("scale deployment web-1 --replicas=4")
        pods.wait("deployment/web-1", ".status.readyReplicas=4")
        names, hints = wrong(pods, "09.2")
        assert "its pods are as they were" in names
        assert any(hint.startswith("Replicas are to be found") for hint in hints)


# --- exercise 09.3: a rolling update that loses nothing ----------------------------------------------------------


PROBE = '{"tcpSocket": {"port": 8080}, "periodSeconds": 1}'
HOOK = '{"preStop": {"sleep": {"seconds": 2}}}'


def patch(readiness="", lifecycle=""):
    parts = [f'"readinessProbe": {readiness}'] if readiness else []
    parts += [f'"lifecycle": {lifecycle}'] if lifecycle else []
    container = ", ".join(['"name": "service"', *parts])
    kubectl(
        f"""patch deployment fragile -p '{{"spec": {{"template": {{"spec": {{"containers": [{{{container}}}]}}}}}}}}'"""
    )
    kubectl("rollout status deployment/fragile --timeout=50s")


@pytest.mark.cluster
class TestRollingUpdate:
    def test_the_starter_is_not_tried(self, pods):
        pods.wait("deployment/fragile", ".status.readyReplicas=2")
        assert pods.check("09.3").state is State.NOT_TRIED

    def test_the_reference_is_right(self, pods):
        kubectl("apply -f solution/fragile.yaml")
        kubectl("rollout status deployment/fragile --timeout=50s")
        assert pods.check("09.3").state is State.RIGHT

    def test_another_probe_and_another_hook_are_right_too(self, pods):
        patch(PROBE, HOOK)
        assert pods.check("09.3").state is State.RIGHT

    def test_a_probe_alone_leaves_the_end_of_a_pods_life(self, pods):
        patch(PROBE)
        found = pods.check("09.3")
        assert found.state is not State.RIGHT
        assert found.hints[0].startswith("Being told to end and leaving the service")

    def test_a_hook_alone_leaves_its_beginning(self, pods):
        patch(lifecycle=HOOK)
        found = pods.check("09.3")
        assert found.state is not State.RIGHT
        assert found.hints[0].startswith("A pod of fragile gets requests a second before it listens")
