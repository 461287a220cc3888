"""Lesson 05: its checks, each with starter, reference, another right answer and likely wrong ones; its errors."""

import pytest
import yaml

from labkit import throwaway
from labkit.checks import State
from labkit.errors import ClusterError
from tests.embedded import eventually
from tests.lessons import kubectl, manifests

LESSON = "05"
pytestmark = pytest.mark.cluster


def wrong(verdict):
    """Return the names of the items that are wrong."""
    return [finding.name for finding in verdict.findings if finding.state is State.WRONG]


def manifest(path):
    """Return one of the lesson's objects, to change it."""
    return yaml.safe_load((manifests(LESSON) / path).read_text())


def test_the_api_refuses_modes_that_do_not_go_together(lab):
    assert kubectl("apply -f broken/modes.yaml").endswith(
        "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes\n"
    )


def test_a_secret_may_hold_a_mebibyte_and_not_a_byte_more(lab, tmp_path):
    (tmp_path / "zeros").write_bytes(bytes(1 << 20))
    assert kubectl(f"create secret generic big --from-file={tmp_path}/zeros") == "secret/big created\n"
    (tmp_path / "zeros").write_bytes(bytes((1 << 20) + 1))
    assert kubectl(f"create secret generic bigger --from-file={tmp_path}/zeros").endswith(
        'Secret "bigger" is invalid: data: Too long: may not be more than 1048576 bytes\n'
    )


# --- exercise 05.1: books that outlive their pod ----------------------------------------------------------


@pytest.fixture
def ledger(lab):
    """The exercise's pod, its books in an emptyDir."""
    kubectl("apply -f ledger.yaml")
    lab.wait("pod/ledger", "Ready")
    return lab


class TestBooks:
    def test_the_starter_is_not_tried(self, lab):
        assert lab.check("05.1").state is State.NOT_TRIED

    def test_the_pod_as_it_was_is_not_tried(self, ledger):
        assert ledger.check("05.1").state is State.NOT_TRIED

    def test_the_reference_is_right(self, lab):
        kubectl("apply -f solution/ledger-claim.yaml -f solution/ledger.yaml")
        lab.wait("pod/ledger-kept", "Ready")
        assert lab.check("05.1").state is State.RIGHT

    def test_a_stateful_set_that_mounts_the_claim_is_right_too(self, lab):
        pod = manifest("solution/ledger.yaml")
        template = {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]}
        selector = {"matchLabels": {"app": "ledger"}}
        spec = {"replicas": 1, "serviceName": "ledger", "selector": selector, "template": template}
        kubectl("apply -f solution/ledger-claim.yaml")
        lab.api.create(
            "statefulsets",
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "books"}, "spec": spec},
            lab.namespace,
        )
        lab.wait("pod/books-0", "Ready")
        assert lab.check("05.1").state is State.RIGHT

    def test_a_claim_that_no_pod_mounts_is_wrong_and_the_hint_says_that_a_pod_must_be_made_anew(self, ledger):
        kubectl("apply -f solution/ledger-claim.yaml")
        verdict = ledger.check("05.1")
        assert verdict.state is State.WRONG
        assert any(hint.startswith("A pod's volumes cannot be changed while it lives.") for hint in verdict.hints)

    def test_an_ephemeral_volume_is_wrong_and_the_hint_says_that_it_goes_with_the_pod(self, lab):
        pod = manifest("solution/ledger.yaml")
        claim = {"spec": manifest("solution/ledger-claim.yaml")["spec"]}
        pod["spec"]["volumes"] = [{"name": "books", "ephemeral": {"volumeClaimTemplate": claim}}]
        lab.api.create("pods", pod, lab.namespace)
        verdict = lab.check("05.1")
        assert (verdict.state, wrong(verdict)[:1]) == (State.WRONG, ["no volume is made for the pod and dies with it"])
        assert any(hint.startswith("An ephemeral volume has a claim that the pod owns") for hint in verdict.hints)

    def test_a_claim_of_another_name_is_wrong_and_the_hint_says_so(self, lab):
        pod = manifest("solution/ledger.yaml")
        pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "books"
        lab.api.create("pods", pod, lab.namespace)
        verdict = lab.check("05.1")
        assert wrong(verdict)[0] == "a pod with app=ledger mounts it"
        assert "The pod mounts a claim of another name." in verdict.hints


# --- exercise 05.2: a PIN for the teller ----------------------------------------------------------


@pytest.fixture
def teller(lab):
    """The exercise's pod, which waits for its secret."""
    kubectl("apply -f teller.yaml")
    lab.wait("pod/teller", ".status.containerStatuses[0].state.waiting.reason=CreateContainerConfigError")
    return lab


def complaint(lab, message):
    """Wait until an event about the teller says so."""
    about = "involvedObject.name=teller,reason=Failed"
    eventually(
        lambda: [e for e in lab.api.items("events", lab.namespace, field_selector=about) if e["message"] == message]
    )


class TestTeller:
    def test_the_starter_is_not_tried_and_its_event_names_the_secret(self, teller):
        complaint(teller, 'Error: secret "till" not found')
        assert teller.check("05.2").state is State.NOT_TRIED

    def test_nothing_at_all_is_not_tried(self, lab):
        assert lab.check("05.2").state is State.NOT_TRIED

    def test_the_reference_is_right_and_the_container_starts_without_its_motto(self, teller):
        kubectl("create secret generic till --from-literal=pin=1812")
        teller.wait("pod/teller", "Ready")
        assert teller.check("05.2").state is State.RIGHT

    def test_string_data_beside_a_motto_is_right_too(self, lab):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "till"}}
        lab.api.create("secrets", {**secret, "stringData": {"pin": "0042", "motto": "yes, we can"}}, lab.namespace)
        kubectl("apply -f teller.yaml")
        lab.wait("pod/teller", "Ready")
        assert lab.check("05.2").state is State.RIGHT

    def test_another_key_is_wrong_and_the_hint_points_to_its_name(self, lab):
        kubectl("create secret generic till --from-literal=PIN=1812")
        kubectl("apply -f teller.yaml")
        lab.wait("pod/teller", ".status.containerStatuses[0].state.waiting.reason=CreateContainerConfigError")
        complaint(lab, f"Error: couldn't find key pin in Secret {lab.namespace}/till")
        verdict = lab.check("05.2")
        assert wrong(verdict)[0] == "the secret till has the key pin"
        assert verdict.hints[0].startswith("The secret is there. Its key has another name")

    def test_the_end_of_echos_line_is_wrong_and_the_hint_counts_it(self, lab):
        kubectl("create secret generic till --from-literal=pin='1812\n'")
        verdict = lab.check("05.2")
        assert wrong(verdict) == ["the PIN is four characters long"]
        assert verdict.hints[0].startswith("A fifth character came along: echo ends its line.")

    def test_a_config_map_is_wrong_and_the_hint_says_for_whom_that_is(self, lab):
        kubectl("create configmap till --from-literal=pin=1812")
        verdict = lab.check("05.2")
        assert wrong(verdict) == ["it is no ConfigMap"]
        assert any(hint.startswith("A ConfigMap is for what everybody may read.") for hint in verdict.hints)

    def test_a_pin_in_the_pod_is_wrong_and_the_hint_says_who_reads_it(self, lab):
        pod = manifest("teller.yaml")
        pod["spec"]["containers"][0]["env"] = [{"name": "PIN", "value": "1812"}]
        lab.api.create("pods", pod, lab.namespace)
        verdict = lab.check("05.2")
        assert "the pod takes it from the secret" in wrong(verdict)
        assert any(hint.startswith("The PIN stands in the pod now") for hint in verdict.hints)


# --- exercise 05.3: a menu that nobody changes ----------------------------------------------------------


def menu(lab, *, immutable=True, **data):
    """Make the ConfigMap tomorrow."""
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tomorrow"}, "data": data}
    lab.api.create("configmaps", {**made, **({"immutable": True} if immutable else {})}, lab.namespace)


class TestMenu:
    def test_the_starter_is_not_tried(self, lab):
        assert lab.check("05.3").state is State.NOT_TRIED

    def test_the_reference_is_right(self, lab):
        kubectl("apply -f solution/tomorrow.yaml -f solution/tomorrow-board.yaml")
        lab.wait("pod/tomorrow", "Ready")
        assert lab.check("05.3").state is State.RIGHT

    def test_a_config_map_locked_later_and_a_deployment_are_right_too(self, lab):
        kubectl("create configmap tomorrow --from-literal=special=gazpacho")
        kubectl("""patch configmap tomorrow -p '{"immutable":true}'""")
        pod = manifest("solution/tomorrow-board.yaml")
        labels = {"app": "tomorrow"}
        template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "boards"}, "spec": spec}
        lab.api.create("deployments", deployment, lab.namespace)
        lab.wait("pods app=tomorrow", "2 Ready")
        assert lab.check("05.3").state is State.RIGHT

    def test_one_that_can_still_be_changed_is_wrong_and_the_hint_says_where_immutable_stands(self, lab):
        menu(lab, immutable=False, special="gazpacho", immutable_="true")
        verdict = lab.check("05.3")
        assert wrong(verdict) == ["it is immutable"]
        assert any("immutable stands beside data, not in it" in hint for hint in verdict.hints)

    def test_a_variable_is_wrong_and_the_hint_says_that_it_is_no_file(self, lab):
        menu(lab, special="gazpacho")
        pod = manifest("solution/tomorrow-board.yaml")
        del pod["spec"]["volumes"], pod["spec"]["containers"][0]["volumeMounts"]
        pod["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "tomorrow"}}]
        lab.api.create("pods", pod, lab.namespace)
        lab.wait("pod/tomorrow", "Ready")
        verdict = lab.check("05.3")
        assert wrong(verdict) == ["a pod with app=tomorrow mounts it"]
        assert verdict.hints == ("The pod mounts no ConfigMap: a variable is not a file.",)

    def test_another_dish_is_wrong_and_the_hint_says_how_an_immutable_one_is_mended(self, lab):
        menu(lab, special="paella")
        verdict = lab.check("05.3")
        assert wrong(verdict) == ["the ConfigMap tomorrow offers gazpacho"]
        assert "delete it and make it again" in verdict.hints[0]


# --- a cluster of one's own ----------------------------------------------------------


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    made = throwaway.start("own")
    yield made
    made.remove()


def store_of(cluster):
    return b"".join(path.read_bytes() for path in cluster.state.glob("store.db*"))


def test_the_lessons_configurations_seal_a_secret_and_rotate_its_key(own):
    there = f"--kubeconfig {own.kubeconfig}"
    kubectl(f"{there} create secret generic bank --from-literal=pin=4711")
    assert b"NDcxMQ==" in store_of(own)
    for name, mark in {"first-key": "key1", "second-key": "key2", "only-second-key": "key2"}.items():
        own.encrypt(manifests(LESSON) / "encryption" / f"{name}.yaml")
        kubectl(f"{there} get secrets -A -o json | kubectl {there} replace -f -")
        assert f"k8s:enc:aescbc:v1:{mark}:".encode() in store_of(own)
    assert kubectl(f"{there} get secret bank -o jsonpath={{.data.pin}}") == "NDcxMQ=="
    own.remove()
    assert not own.state.exists()


def test_a_configuration_that_says_nothing_is_not_waited_for_without_end(own, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: EncryptionConfiguration\n")
    with pytest.raises(ClusterError, match="has not taken"):
        own.encrypt(bad, timeout=1.5)


def test_on_somebody_elses_cluster_the_steps_for_a_whole_one_are_skipped_with_one_line(lab, capsys):
    capsys.readouterr()
    assert lab.own_cluster() is None
    assert capsys.readouterr().out == (
        "• skipped: these steps change a whole cluster, and this one is not yours alone\n"
    )
