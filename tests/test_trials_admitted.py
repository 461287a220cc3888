"""The kit's own pods where a namespace admits little: under the level `restricted`, and under a quota."""

import pytest

from labkit import verdict
from labkit.errors import ApiFailure
from labkit.trials import claims
from labkit.trials.admitted import bounded, create, restricted
from tests.lessons import kubectl
from tests.test_lesson_08 import apply, container, look, reference

LESSON = "08"
pytestmark = pytest.mark.cluster
STORE = ("Deployment/store", "Service/store", "Secret/store", "PersistentVolumeClaim/notes")
KEPT = "a note is there when the pod has been killed"


def store():
    return {key: reference()[key] for key in STORE}


def unprivileged():
    """A store that the level `restricted` admits, and whose notes nobody else may read."""
    objects = store()
    pod = objects["Deployment/store"]["spec"]["template"]["spec"]
    pod["securityContext"] = {"runAsNonRoot": True, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}}
    container(objects["Deployment/store"])["securityContext"] = {
        "runAsUser": 1234, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}  # fmt: skip
    container(objects["Deployment/store"])["command"] = ["sh", "-c", "umask 077; exec python3 /code/store.py"]
    return objects


def hand_in(objects):
    kubectl("create configmap code --from-file=app")
    apply(*objects.values())
    assert "condition met" in kubectl("wait --for=condition=Available deployment --all --timeout=60s")


def quota(**hard):
    apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": hard}})


def limited():
    objects = store()
    container(objects["Deployment/store"])["resources"]["limits"] = {"cpu": "1", "memory": "128Mi"}
    return objects


def test_a_note_that_its_writer_alone_may_read_is_found_under_the_level_restricted(lab):
    kubectl(f"label namespace {lab.namespace} pod-security.kubernetes.io/enforce=restricted")
    hand_in(unprivileged())
    assert lab.check("08.1").state is verdict.State.RIGHT
    assert claims.search(lab.api, lab.namespace, "tier=store", "no such word", 30)["failed"] == 1


def test_where_a_quota_asks_for_requests_and_limits_the_notes_of_root_are_read_too(lab):
    quota(**{"requests.cpu": "4", "limits.cpu": "4", "requests.memory": "4Gi", "limits.memory": "4Gi"})
    hand_in(limited())
    found, _ = look(lab, "08.1", KEPT)
    assert found[KEPT].state is verdict.State.RIGHT
    assert claims.search(lab.api, lab.namespace, "tier=store", "no such word", 30)["failed"] == 1


def test_a_quota_that_has_no_room_is_told_and_costs_nothing(lab):
    quota(pods="1")
    hand_in(limited())
    found, _ = look(lab, "08.1", KEPT)
    assert found[KEPT].state is verdict.State.UNCHECKED
    assert "exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1" in found[KEPT].found


def test_what_is_wrong_with_a_pod_itself_is_not_tried_again(lab):
    with pytest.raises(ApiFailure) as refusal:
        create(lab.api, lab.namespace, {"metadata": {"name": "A"}, "spec": {"containers": [{}]}})
    assert refusal.value.code == 422


def test_who_looks_is_who_wrote():
    pod = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1m"}}}]}}
    theirs = {"securityContext": {"runAsUser": 1, "fsGroup": 3},
              "containers": [{}, {"securityContext": {"runAsUser": 2, "privileged": True}}]}  # fmt: skip
    asked = restricted(bounded(pod), {"spec": theirs})["spec"]
    assert asked["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 2, "fsGroup": 3, "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    assert asked["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}  # fmt: skip
    assert asked["containers"][0]["resources"]["requests"] == {"cpu": "1m", "memory": "32Mi"}
