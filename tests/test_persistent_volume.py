"""What the binder does for a claim, and which phase it gives a volume: pure plans."""

import pytest

from labkit.glassbox.controllers.host_path_provisioner import ONE_NODE, refusal, volume_for
from labkit.glassbox.controllers.persistent_volume import BY_CONTROLLER, Step, is_left_over, plan_claim, plan_volume
from labkit.glassbox.controllers.storage_protection import uses
from labkit.glassbox.kubelet.volumes.sources import Sources
from labkit.glassbox.kubelet.volumes.token import is_young, token
from tests.test_volume_match import claim, volume

CLASSES = {
    "manual": {"metadata": {"name": "manual"}, "provisioner": "kubernetes.io/no-provisioner"},
    "fast": {"metadata": {"name": "fast"}, "provisioner": "example.com/fast"},
    "lazy": {
        "metadata": {"name": "lazy"},
        "provisioner": "example.com/lazy",
        "volumeBindingMode": "WaitForFirstConsumer",
    },
}
MINE = {"namespace": "shop", "name": "data", "uid": "u"}
ANOTHERS = {**MINE, "uid": "another"}


def with_annotations(obj, **annotations):
    names = {"selected_node": "volume.kubernetes.io/selected-node", "completed": "pv.kubernetes.io/bind-completed"}
    obj["metadata"]["annotations"] = {names[name]: value for name, value in annotations.items()}
    return obj


def planned(wants, *volumes):
    return plan_claim(wants, {each["metadata"]["name"]: each for each in volumes}, CLASSES)


@pytest.mark.parametrize(
    ("wants", "reason", "told"),
    [
        (claim(), "ProvisioningFailed", "no volume plugin matched name: kubernetes.io/no-provisioner"),
        (claim(storageClassName="none"), "ProvisioningFailed", 'storageclass.storage.k8s.io "none" not found'),
        (claim(storageClassName=""), "FailedBinding", "no persistent volumes available for this claim and no storage"),
        (claim(storageClassName="fast"), "ExternalProvisioning", "by the external provisioner 'example.com/fast' or"),
        (claim(storageClassName="lazy"), "WaitForFirstConsumer", "waiting for first consumer to be created before"),
    ],
)
def test_a_claim_that_finds_no_volume_is_told_what_it_waits_for(wants, reason, told):
    step = planned(wants)
    assert (step.reason, step.bind, step.phase) == (reason, None, "Pending")
    assert told in step.message


def test_a_claim_gets_a_volume_that_suits_it():
    assert planned(claim(), volume()) == Step(bind=volume(), phase="Bound")


def test_a_claim_that_waits_for_its_pod_takes_no_volume_before_unless_it_is_kept_for_it():
    wants = claim(storageClassName="lazy")
    assert planned(wants, volume(storageClassName="lazy")).reason == "WaitForFirstConsumer"
    kept = volume(storageClassName="lazy", reference=MINE)
    assert planned(wants, kept).bind == kept


def test_a_claim_whose_pod_has_a_node_is_provisioned():
    wants = with_annotations(claim(storageClassName="lazy"), selected_node="node1")
    assert planned(wants).provisioner == "example.com/lazy"


@pytest.mark.parametrize(
    ("named", "reason", "told"),
    [
        (volume(size="1Mi"), "VolumeMismatch", 'Cannot bind to requested volume "pv": requested PV is too small'),
        (volume(storageClassName="x"), "VolumeMismatch", "storageClassName does not match"),
        (volume(volumeMode="Block"), "VolumeMismatch", "incompatible volumeMode"),
        (volume(accessModes=["ReadOnlyMany"]), "VolumeMismatch", "incompatible accessMode"),
        (volume(reference=ANOTHERS), "FailedBinding", 'volume "pv" already bound to a different claim.'),
    ],
)
def test_a_volume_that_a_claim_names_must_suit_it(named, reason, told):
    step = planned(claim(volumeName="pv"), named)
    assert (step.reason, step.bind) == (reason, None)
    assert told in step.message


def test_a_bound_claim_whose_volume_is_gone_is_lost():
    wants = with_annotations(claim(volumeName="pv"), completed="yes")
    assert (planned(wants).phase, planned(wants).reason) == ("Lost", "ClaimLost")
    assert planned(wants, volume(reference=ANOTHERS)).reason == "ClaimMisbound"
    assert planned(wants, volume(reference=MINE)).phase == "Bound"


@pytest.mark.parametrize(
    ("reference", "owner", "phase"),
    [
        (None, None, "Available"),
        ({"namespace": "shop", "name": "data"}, None, "Available"),
        (MINE, claim(volumeName="pv"), "Bound"),
        (MINE, None, "Released"),
        (ANOTHERS, claim(volumeName="pv"), "Released"),
    ],
)
def test_a_volume_s_phase_follows_from_its_claim(reference, owner, phase):
    assert plan_volume(volume(phase="Pending", reference=reference), owner) == phase


@pytest.mark.parametrize(("bound_to", "left_over"), [("pv", False), (None, False), ("another", True)])
def test_a_volume_chosen_for_a_claim_that_got_another_is_free_again(bound_to, left_over):
    chosen = volume(reference=MINE)
    chosen["metadata"]["annotations"] = {BY_CONTROLLER: "yes"}
    assert is_left_over(chosen, claim(volumeName=bound_to)) == left_over


def test_the_standard_class_makes_volumes_for_one_node_alone():
    assert refusal(claim(accessModes=["ReadWriteMany"])) == ONE_NODE
    wants = claim()
    wants["metadata"]["resourceVersion"] = "7"
    made = volume_for(wants, {"metadata": {"name": "standard"}, "reclaimPolicy": "Retain"}, "node2")
    assert made["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    [term] = made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == ["node2"]
    assert made["spec"]["claimRef"]["uid"] == "u"


@pytest.mark.parametrize(("node", "used"), [("node1", True), (None, False)])
def test_a_pod_uses_its_claims_from_when_it_has_a_node(node, used):
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": node, "volumes": volumes}}
    assert uses(pod, claim()) == used


@pytest.mark.parametrize(
    ("age", "seconds", "young"),
    [(479, 600, True), (481, 600, False), (80_000, 10**6, True), (87_000, 10**6, False)],
)
def test_a_token_is_renewed_after_four_fifths_of_its_life_or_a_day(age, seconds, young):
    token = b"e30.eyJpYXQiOjEwMDB9.x"  # {"iat":1000}
    assert is_young(token, seconds, 1000 + age) == young


def test_a_token_for_a_file_is_asked_for_once_and_bound_to_the_pod(tmp_path):
    asked = []

    def request_token(account, request):
        asked.append((account, request["spec"]))
        return {"status": {"token": "e30.eyJpYXQiOjEwMDB9.x"}}

    pod = {"metadata": {"name": "p", "uid": "u"}, "spec": {"serviceAccountName": "robot"}}
    sources = Sources({}, lambda resource, name: {}, request_token, tmp_path, now=1001)
    file = tmp_path / "token"
    for _ in range(2):
        file.write_bytes(token(pod, {"path": "token", "expirationSeconds": 600, "audience": "vault"}, file, sources))
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "u"}
    assert asked == [("robot", {"audiences": ["vault"], "expirationSeconds": 600, "boundObjectRef": bound})]


def test_what_is_no_token_is_renewed():
    assert not is_young(b"garbage", 600, 0)
