"""Lesson 07: its checks, each with starter, reference, another right answer and likely wrong ones; its picture."""

import time

import pytest
import yaml

from labkit import throwaway
from labkit.checks import State
from labkit.draw import boxes, nodes
from tests.lessons import kubectl, manifests

LESSON = "07"


# --- exercise 07.1: a node by hand ----------------------------------------------------------


@pytest.fixture
def near(lab):
    """The pod of the exercise, which nobody schedules."""
    kubectl("apply -f near.yaml")
    return lab


def bind(lab, pod, node):
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod},
        "target": {"kind": "Node", "name": node},
    }
    lab.api.request("POST", f"/api/v1/namespaces/{lab.namespace}/pods/{pod}/binding", body=binding)


def made_again(lab, change):
    """Make near again from its file, with a change to its spec."""
    pod = yaml.safe_load((manifests(LESSON) / "near.yaml").read_text())
    pod["spec"] |= change
    kubectl("delete pod near --ignore-not-found")
    lab.api.create("pods", pod, lab.namespace)


def some_node(lab):
    return lab.api.items("nodes")[-1]["metadata"]["name"]


@pytest.mark.cluster
class TestANodeByHand:
    def test_the_starter_is_not_tried(self, near):
        assert near.check("07.1").state is State.NOT_TRIED

    def test_the_reference_is_right(self, near):
        bind(near, "near", some_node(near))
        near.wait("pod/near", "Running")
        assert near.check("07.1").state is State.RIGHT

    def test_a_pod_made_with_its_node_is_right_too(self, lab):
        made_again(lab, {"nodeName": some_node(lab)})
        lab.wait("pod/near", "Running")
        assert lab.check("07.1").state is State.RIGHT

    def test_the_schedulers_work_is_wrong_and_the_hint_says_whose_it_was(self, lab):
        made_again(lab, {"schedulerName": "default-scheduler"})
        lab.wait("pod/near", "Running")
        verdict = lab.check("07.1")
        assert verdict.state is State.WRONG
        assert verdict.hints[0].startswith("The scheduler did it for you.")

    def test_a_node_that_is_not_there_is_not_right(self, near):
        bind(near, "near", "node99")
        near._grader.clock = lambda: time.time() + 60
        verdict = near.check("07.1")
        assert verdict.state is not State.RIGHT
        assert any("kubectl get nodes" in hint for hint in verdict.hints)
        kubectl("delete pod near --force")  # no kubelet is there to end it


# --- exercise 07.2: be the controller ----------------------------------------------------------


def crew(lab, number):
    member = yaml.safe_load((manifests(LESSON) / "crew.yaml").read_text())
    member["metadata"] = {"generateName": "crew-", "labels": {"app": "crew"}}
    for _ in range(number):
        lab.api.create("pods", member, lab.namespace)
    lab.wait("pods app=crew", f"{number} Running")


@pytest.mark.cluster
class TestBeTheController:
    def test_the_starter_is_not_tried(self, lab):
        assert lab.check("07.2").state is State.NOT_TRIED

    def test_the_reference_is_right(self, lab):
        crew(lab, 3)
        assert lab.check("07.2").state is State.RIGHT

    def test_pods_under_names_of_their_own_are_right_too(self, lab):
        for name in ("ana", "ben", "eva"):
            kubectl(f"run {name} --image=busybox:1.36 -l app=crew --command -- sleep 3600")
        lab.wait("pods app=crew", "3 Running")
        assert lab.check("07.2").state is State.RIGHT

    @pytest.mark.parametrize(("number", "hint"), [(2, "Some are missing."), (4, "There are too many.")])
    def test_another_number_is_wrong_and_the_hint_says_which_way(self, lab, number, hint):
        crew(lab, number)
        verdict = lab.check("07.2")
        assert verdict.state is State.WRONG
        assert verdict.hints[0].startswith(hint)

    def test_a_deployments_pods_are_wrong(self, lab):
        kubectl("create deployment crew --image=busybox:1.36 --replicas=3 -- sleep 3600")
        lab.wait("pods app=crew", "3 Running")
        verdict = lab.check("07.2")
        assert verdict.state is State.WRONG
        assert verdict.hints[0].startswith("A controller has made them.")


# --- exercise 07.3: three within the quota ----------------------------------------------------------


@pytest.fixture
def quota(lab):
    """The deployment of the exercise, of which one pod fits."""
    lab.other = lab.make_namespace("quota")
    kubectl(f"apply -n {lab.other} -f quota/small.yaml")
    lab.wait("resourcequotas/small", ".status.hard.pods=3", namespace=lab.other)
    kubectl(f"apply -n {lab.other} -f quota/hungry.yaml")
    lab.wait("deployment/hungry", ".status.availableReplicas=1", namespace=lab.other)
    return lab


def three(lab):
    lab.wait("deployment/hungry", ".status.availableReplicas=3", namespace=lab.other)


@pytest.mark.cluster
class TestThreeWithinTheQuota:
    def test_the_starter_is_not_tried_and_its_set_says_who_refused_it(self, quota):
        assert quota.check("07.3").state is State.NOT_TRIED
        quota.wait("replicasets app=hungry", "ReplicaFailure", namespace=quota.other)
        (found,) = quota.api.items("replicasets", quota.other)
        assert "exceeded quota: small, requested: requests.cpu=200m" in found["status"]["conditions"][0]["message"]

    def test_the_reference_is_right(self, quota):
        kubectl(f"set resources deployment hungry -n {quota.other} --requests=cpu=100m")
        three(quota)
        assert quota.check("07.3").state is State.RIGHT

    def test_another_deployment_of_that_name_that_asks_for_less_is_right_too(self, quota):
        kubectl(f"delete deployment hungry -n {quota.other}")
        quota.wait("pods app=hungry", "Deleted", namespace=quota.other)
        hungry = (manifests(LESSON) / "quota/hungry.yaml").read_text().replace("200m", "50m")
        quota.api.create("deployments.apps", yaml.safe_load(hungry), quota.other)
        three(quota)
        assert quota.check("07.3").state is State.RIGHT

    def test_fewer_replicas_are_wrong(self, quota):
        kubectl(f"scale deployment hungry -n {quota.other} --replicas=1")
        verdict = quota.check("07.3")
        assert verdict.state is State.WRONG
        assert "Fewer pods fit, but three are wanted." in verdict.hints

    def test_a_larger_quota_is_wrong_and_the_hint_says_whose_it_is(self, quota):
        larger = '{"spec":{"hard":{"requests.cpu":"600m"}}}'
        kubectl(f"patch resourcequota small -n {quota.other} --type=merge -p '{larger}'")
        three(quota)
        verdict = quota.check("07.3")
        assert verdict.state is State.WRONG
        assert verdict.hints == ("The quota is the administrator's. Let the pods ask for less.",)


# --- a cluster of one's own ----------------------------------------------------------


def test_where_the_kit_makes_no_clusters_there_is_none_of_ones_own():
    assert throwaway.instead_of("kubeconfig:somewhere", "lab-07") is None


# --- the picture ----------------------------------------------------------


def node(name, ready="True", **spec):
    conditions = [{"type": "Ready", "status": ready}]
    return {"metadata": {"name": name, "uid": name}, "spec": spec, "status": {"conditions": conditions}}


def pod(name, on="", **meta):
    return {
        "metadata": {"name": name, "uid": name, **meta},
        "spec": {"nodeName": on} if on else {},
        "status": {"phase": "Running" if on else "Pending"},
    }


def told(found, pods, since=None):
    earlier = since and nodes.graph_of(*since)
    return str(boxes.draw(nodes.graph_of(found, pods), "where", since=earlier)).split("\n")[1:]


def test_a_pod_hangs_on_its_node_and_one_without_stands_apart():
    assert told([node("a"), node("b", unschedulable=True)], [pod("p", "a"), pod("q")]) == [
        "  Node a · Ready",
        "  └─ Pod p · Running",
        "  Node b · Ready · cordoned",
        "  Pod q · Pending",
    ]


def test_a_node_that_is_lost_and_a_pod_that_is_told_to_end_are_marked():
    before = [node("a")], [pod("p", "a")]
    after = [node("a", ready="Unknown")], [pod("p", "a", deletionTimestamp="2026-01-05T09:00:00Z")]
    assert told(*after, since=before) == ["~ Node a · NotReady", "~ └─ Pod p · Terminating"]
