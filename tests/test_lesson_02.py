"""Lesson 02: its checks, each with starter, reference, another right answer and likely wrong ones; its errors."""

import json
import time

import pytest
import yaml

from labkit.checks import State
from tests.lessons import kubectl, manifests

LESSON = "02"
pytestmark = pytest.mark.cluster


def found(verdict):
    """Return what an item found, by its name."""
    return {finding.name: finding.found for finding in verdict.findings}


def wrong(verdict):
    """Return the names of the items that are wrong."""
    return [finding.name for finding in verdict.findings if finding.state is State.WRONG]


def test_the_api_refuses_a_set_in_a_replication_controller(lab):
    said = kubectl("apply -f broken/set-in-controller.yaml")
    assert "json: cannot unmarshal array into Go struct field ReplicationControllerSpec.spec.selector" in said


# --- exercise 02.1: from pet to cattle ----------------------------------------------------------


@pytest.fixture
def clerk(lab):
    """The pet of the exercise, running."""
    kubectl("apply -f clerk.yaml")
    lab.wait("pod/clerk", "Ready")
    return lab


DEPLOYMENT = "create deployment clerk --image=registry.k8s.io/pause:3.10"


class TestFromPetToCattle:
    def test_the_starter_is_not_tried(self, lab):
        assert lab.check("02.1").state is State.NOT_TRIED

    def test_the_pet_alone_is_not_tried_and_the_hint_asks_who_keeps_a_number(self, clerk):
        verdict = clerk.check("02.1")
        assert verdict.state is State.NOT_TRIED
        assert verdict.hints[0].startswith("A pet does not multiply.")

    def test_the_reference_is_right(self, clerk):
        kubectl(f"{DEPLOYMENT} --replicas=2")
        kubectl("delete pod clerk")
        clerk.wait("pods app=clerk", "2 Ready")
        assert clerk.check("02.1").state is State.RIGHT

    def test_a_replica_set_that_adopts_the_pet_is_right_too(self, clerk):
        herd = yaml.safe_load((manifests(LESSON) / "zoo/by-set.yaml").read_text())
        herd["metadata"]["name"] = "clerks"
        herd["spec"]["selector"] = {"matchLabels": {"app": "clerk"}}
        herd["spec"]["template"]["metadata"]["labels"] = {"app": "clerk"}
        clerk.api.create("replicasets", herd, clerk.namespace)
        clerk.wait("replicaset/clerks", ".status.readyReplicas=2")
        assert clerk.check("02.1").state is State.RIGHT

    def test_a_second_pet_is_wrong_and_the_hint_asks_who_comes_back(self, clerk):
        kubectl("run clerk-2 --image=registry.k8s.io/pause:3.10 --labels=app=clerk")
        clerk.wait("pods app=clerk", "2 Ready")
        verdict = clerk.check("02.1")
        assert verdict.state is State.WRONG
        assert found(verdict)["each of them has an owner"] == "absent (pod/clerk), absent (pod/clerk-2)"
        assert verdict.hints[0].startswith("A pod made by hand has no owner.")

    def test_a_herd_beside_the_pet_is_wrong_and_the_hint_names_the_pet(self, clerk):
        kubectl(f"{DEPLOYMENT} --replicas=2")
        clerk.wait("pods app=clerk", "3 Ready")
        verdict = clerk.check("02.1")
        assert wrong(verdict) == ["two pods carry app=clerk", "each of them has an owner"]
        assert verdict.hints[0].startswith("Count without the pet")

    def test_a_herd_of_one_is_wrong_and_the_hint_says_scale(self, clerk):
        kubectl(f"{DEPLOYMENT} --replicas=1")
        kubectl("delete pod clerk")
        clerk.wait("pods app=clerk", "1 Ready")
        verdict = clerk.check("02.1")
        assert verdict.state is State.WRONG
        assert verdict.hints == ("One is not a herd. kubectl scale changes how many the controller keeps.",)

    def test_a_herd_without_an_image_is_wrong_and_the_hint_leads_to_the_events(self, lab):
        kubectl("create deployment clerk --image=registry.k8s.io/pauze:3.10 --replicas=2")
        lab.wait("pods app=clerk", "2 Pending")
        lab.wait("pods app=clerk", ".status.containerStatuses[0].started=false")
        lab._grader.clock = lambda: time.time() + 60
        verdict = lab.check("02.1")
        assert wrong(verdict) == ["they run"]
        assert verdict.hints == ("The events at the end of kubectl describe say what they wait for.",)

    def test_a_right_answer_that_is_deleted_again_broke(self, clerk):
        kubectl(f"{DEPLOYMENT} --replicas=2")
        kubectl("delete pod clerk")
        clerk.wait("pods app=clerk", "2 Ready")
        clerk.check("02.1")
        kubectl("delete deployment clerk")
        clerk.wait("pods app=clerk", "Deleted")
        assert clerk.check("02.1").state is State.BROKE


# --- exercise 02.2: a rollout repaired ----------------------------------------------------------


@pytest.fixture
def web(lab):
    """web in the middle of a rollout to an image that does not exist."""
    kubectl("apply -f web.yaml")
    lab.wait("deployment/web", "Available")
    kubectl("set image deployment/web main=busybox:1.37-glib")
    lab.wait("deployment/web", ".status.updatedReplicas=1")
    return lab


def rolled_out():
    return kubectl("rollout status deployment/web --timeout=30s")


class TestARolloutRepaired:
    def test_without_web_it_is_not_tried(self, lab):
        assert lab.check("02.2").state is State.NOT_TRIED

    def test_the_starter_is_not_tried_and_the_hint_warns_of_deleting_the_pod(self, web):
        verdict = web.check("02.2")
        assert verdict.state is State.NOT_TRIED
        assert verdict.hints[0].startswith("Deleting the broken pod brings another")

    def test_the_reference_is_right(self, web):
        kubectl("rollout undo deployment/web")
        assert "successfully rolled out" in rolled_out()
        assert web.check("02.2").state is State.RIGHT

    def test_the_image_spelt_right_is_right_too(self, web):
        kubectl("set image deployment/web main=busybox:1.37-glibc")
        assert "successfully rolled out" in rolled_out()
        assert web.check("02.2").state is State.RIGHT

    def test_another_image_that_does_not_exist_is_wrong_and_the_hint_says_read_the_tag(self, web):
        kubectl("set image deployment/web main=busybox:1.37glibc")
        verdict = web.check("02.2")
        assert verdict.state is State.WRONG
        assert "busybox:1.37glibc" in found(verdict)["the Deployment web names an image that exists"]
        assert verdict.hints[0].startswith("Read the image's tag letter by letter.")

    def test_repaired_but_scaled_down_is_wrong_and_the_hint_names_scale(self, web):
        kubectl("rollout undo deployment/web")
        kubectl("scale deployment web --replicas=2")
        web.wait("deployment/web", ".status.readyReplicas=2")
        web._grader.clock = lambda: time.time() + 60
        web.check("02.2")
        web._grader.clock = lambda: time.time() + 120
        verdict = web.check("02.2")
        assert verdict.state is State.WRONG
        assert any("kubectl scale deployment web --replicas=3" in hint for hint in verdict.hints)


# --- exercise 02.3: ready when it answers ----------------------------------------------------------


@pytest.fixture
def slow(lab):
    """The Deployment of the exercise as it is given."""
    kubectl("apply -f slow.yaml")
    lab.wait("deployment/slow", "Available")
    return lab


def give_probe(kind, probe):
    """Put a probe into the template of slow."""
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", kind: probe}]}}}}
    kubectl(f"patch deployment slow -p '{json.dumps(patch)}'")


def ready():
    return kubectl("rollout status deployment/slow --timeout=40s")


class TestReadyWhenItAnswers:
    def test_without_slow_it_is_not_tried(self, lab):
        assert lab.check("02.3").state is State.NOT_TRIED

    def test_the_starter_is_not_tried(self, slow):
        assert slow.check("02.3").state is State.NOT_TRIED

    def test_the_reference_is_right(self, slow):
        kubectl("apply -f solution/slow.yaml")
        assert "successfully rolled out" in ready()
        assert slow.check("02.3").state is State.RIGHT

    def test_a_command_that_asks_is_right_too(self, slow):
        ask = ["wget", "-qO", "/dev/null", "http://localhost:8080"]
        give_probe("readinessProbe", {"exec": {"command": ask}, "periodSeconds": 1})
        assert "successfully rolled out" in ready()
        assert slow.check("02.3").state is State.RIGHT

    def test_a_rollout_under_way_is_still_converging(self, slow):
        give_probe("readinessProbe", {"tcpSocket": {"port": 8080}, "periodSeconds": 1})
        slow.wait("deployment/slow", ".status.unavailableReplicas=2")
        verdict = slow.check("02.3")
        assert verdict.state is State.CONVERGING
        assert 0 < max(finding.left for finding in verdict.findings) <= 30

    def test_a_liveness_probe_is_wrong_and_the_hint_says_what_it_does(self, slow):
        give_probe("livenessProbe", {"httpGet": {"path": "/", "port": 8080}, "initialDelaySeconds": 5})
        verdict = slow.check("02.3")
        assert verdict.state is State.WRONG
        assert any(hint.startswith("A liveness probe restarts the container.") for hint in verdict.hints)

    def test_a_wrong_port_is_wrong_after_a_while_and_the_hint_names_the_right_one(self, slow):
        give_probe("readinessProbe", {"tcpSocket": {"port": 80}, "periodSeconds": 1})
        slow.wait("deployment/slow", ".status.unavailableReplicas=2")
        slow.check("02.3")
        slow._grader.clock = lambda: time.time() + 60
        verdict = slow.check("02.3")
        assert verdict.state is State.WRONG
        assert "8080" in verdict.hints[0]
