"""Lesson 03: its checks, each with starter, reference, another right answer and likely wrong ones; its errors."""

import pytest

from labkit.checks import State
from tests.lessons import kubectl

LESSON = "03"


@pytest.fixture
def shop(lab):
    """The lesson's six pods, and an empty second namespace."""
    kubectl("apply -f shop")
    lab.make_namespace("other")
    return lab


def verdict(lab, number):
    return lab.check(number)


# --- manifests that are refused ----------------------------------------------------------


@pytest.mark.cluster
def test_the_api_refuses_the_broken_label_value(lab):
    said = kubectl("apply -f broken/label-value.yaml")
    assert said.startswith(
        'The Pod "visitor" is invalid: metadata.labels: Invalid value: "ana@uni.example": a valid label'
    )
    assert kubectl("get pods").startswith("No resources found")


@pytest.mark.cluster
def test_the_api_refuses_the_broken_name(lab):
    said = kubectl("apply -f broken/name.yaml")
    assert said.startswith(
        'The Pod "Shop_Web" is invalid: metadata.name: Invalid value: "Shop_Web": a lowercase RFC 1123'
    )


# --- exercise 03.1: the backup's pods ----------------------------------------------------------


@pytest.mark.cluster
class TestBackup:
    def test_the_starter_is_not_tried(self, shop):
        assert verdict(shop, "03.1").state is State.NOT_TRIED

    def test_the_reference_is_right(self, shop):
        kubectl("label pods -l 'environment,tier!=frontend' backup=tonight")
        assert verdict(shop, "03.1").state is State.RIGHT

    def test_labels_put_on_one_by_one_are_right_too(self, shop):
        kubectl("label pod shop-db backup=tonight")
        kubectl("""patch pod shop-cart -p '{"metadata":{"labels":{"backup":"tonight"}}}'""")
        assert verdict(shop, "03.1").state is State.RIGHT

    def test_forgetting_that_absent_is_unequal_is_wrong_and_the_hint_asks_about_scratch(self, shop):
        kubectl("label pods -l 'tier!=frontend' backup=tonight")
        found = verdict(shop, "03.1")
        assert found.state is State.WRONG
        assert found.findings[0].found == "3: scratch, shop-cart, shop-db"
        assert [hint.partition(".")[0] for hint in found.hints] == ["scratch got the label"]

    def test_backends_only_is_wrong_and_the_hint_says_that_one_is_missing(self, shop):
        kubectl("label pods -l tier=backend backup=tonight")
        found = verdict(shop, "03.1")
        assert (found.state, found.findings[0].found) == (State.WRONG, "1: shop-cart")
        assert found.hints[0].startswith("One pod is missing.")

    def test_another_value_is_wrong_and_the_hint_names_overwrite(self, shop):
        kubectl("label pods -l 'environment,tier!=frontend' backup=yes")
        found = verdict(shop, "03.1")
        assert found.state is State.WRONG
        assert any("--overwrite" in hint for hint in found.hints)


# --- exercise 03.2: a pod in quarantine ----------------------------------------------------------


@pytest.fixture
def api(lab):
    """The Deployment of the exercise, with its two pods ready."""
    kubectl("apply -f api.yaml")
    lab.wait("pods app=api", "2 Ready")
    return lab


def one_pod():
    return kubectl("get pods -l app=api -o name").split()[0]


def settle(lab):
    lab.wait("pods app=api,quarantine!=yes", "2 Ready")
    lab.wait("deployment/api", ".status.availableReplicas=2")


@pytest.mark.cluster
class TestQuarantine:
    def test_the_starter_is_not_tried(self, lab):
        assert verdict(lab, "03.2").state is State.NOT_TRIED

    def test_the_reference_is_right(self, api):
        kubectl(f"label {one_pod()} app- quarantine=yes")
        settle(api)
        assert verdict(api, "03.2").state is State.RIGHT

    def test_taking_away_the_other_label_of_the_selector_is_right_too(self, api):
        kubectl(f"label {one_pod()} pod-template-hash- quarantine=yes")
        settle(api)
        assert verdict(api, "03.2").state is State.RIGHT

    def test_a_pod_that_only_gained_a_label_is_wrong_and_the_hint_points_to_the_selector(self, api):
        kubectl(f"label {one_pod()} quarantine=yes")
        found = verdict(api, "03.2")
        assert found.state is State.WRONG
        assert [f.name for f in found.findings if f.state is State.WRONG] == ["nobody owns it"]
        assert "kubectl get replicasets -o wide" in found.hints[0]

    def test_a_pod_made_by_hand_is_wrong_and_the_hint_says_so(self, api):
        kubectl("run lookalike --image=registry.k8s.io/pause:3.10 --labels=quarantine=yes")
        api.wait("pod/lookalike", "Running")
        found = verdict(api, "03.2")
        assert found.state is State.WRONG
        assert found.hints[0].startswith("This pod was not made by the Deployment.")


# --- exercise 03.3: a database for tests ----------------------------------------------------------


@pytest.mark.cluster
class TestDatabaseForTests:
    def test_the_starter_is_not_tried(self, shop):
        assert verdict(shop, "03.3").state is State.NOT_TRIED

    def test_the_reference_is_right(self, shop):
        other = f"{shop.namespace}-other"
        kubectl(f"apply -n {other} -f shop/shop-db.yaml")
        kubectl(f"label -n {other} pod shop-db environment=test --overwrite")
        shop.wait("pod/shop-db", "Running", namespace=other)
        assert verdict(shop, "03.3").state is State.RIGHT

    def test_kubectl_run_with_labels_is_right_too(self, shop):
        other = f"{shop.namespace}-other"
        labels = "app=shop,tier=storage,environment=test"
        kubectl(f"run shop-db -n {other} --image=registry.k8s.io/pause:3.10 --labels={labels}")
        shop.wait("pod/shop-db", "Running", namespace=other)
        assert verdict(shop, "03.3").state is State.RIGHT

    def test_the_unchanged_copy_is_wrong_and_the_hint_says_where_it_claims_to_be(self, shop):
        other = f"{shop.namespace}-other"
        kubectl(f"apply -n {other} -f shop/shop-db.yaml")
        shop.wait("pod/shop-db", "Running", namespace=other)
        found = verdict(shop, "03.3")
        assert found.state is State.WRONG
        assert found.hints[0].startswith("This one says that it is in production.")

    def test_working_in_the_wrong_namespace_is_wrong_and_the_hint_names_n(self, shop):
        kubectl("label pod shop-db environment=test --overwrite")
        found = verdict(shop, "03.3")
        assert found.state is State.WRONG
        assert any(hint.startswith("The shop-db of your own namespace has changed") for hint in found.hints)
