"""Who did what: a change tells its maker; and one real apply, followed through every component."""

import pytest

from labkit.draw.lanes import Step, lanes
from labkit.timeline import Change, steps
from tests.lessons import kubectl

LESSON = "07"


def obj(kind, name, *, owner="", spec=None, uid="", **status):
    owners = [{"kind": owner, "controller": True}] if owner else []
    meta = {"name": name, "uid": uid or f"{kind}/{name}", "resourceVersion": "1", "ownerReferences": owners}
    return {"kind": kind, "metadata": meta, "spec": spec or {}, "status": status}


def pod(name="p", *, node="", scheduler="default-scheduler", **status):
    return obj("Pod", name, owner="ReplicaSet", spec={"nodeName": node, "schedulerName": scheduler}, **status)


def told(*changes):
    return [f"{each.actor} {each.words}" for each in steps(Change(*change) for change in changes)]


READY = [{"type": "Ready", "status": "True"}]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (None, obj("Deployment", "web"), "kubectl creates Deployment web"),
        (None, obj("ReplicaSet", "web-1", owner="Deployment"), "deployment controller creates a ReplicaSet"),
        (None, pod(), "replica set controller creates a Pod"),
        (None, obj("Pod", "p", owner="Widget"), "controller of Widget creates a Pod"),
        (pod(), pod(node="node1"), "scheduler gives a Pod a node"),
        (pod(scheduler="me"), pod(scheduler="me", node="node1"), "me gives a Pod a node"),
        (pod(), pod(phase="Running"), "kubelet runs a Pod"),
        (pod(phase="Running"), pod(phase="Running", conditions=READY), "kubelet reports a Pod ready"),
        (pod(phase="Running"), None, "kubelet has ended a Pod"),
    ],
)
def test_what_a_write_changed_tells_who_made_it(old, new, words):
    assert told((old, new)) == [words]


def test_a_status_that_stays_as_it_was_is_no_step():
    assert told((pod(phase="Running"), pod(phase="Running", podIP="10.0.0.1"))) == []


def test_a_new_wish_is_its_makers_and_a_new_status_is_not():
    before, after = obj("Deployment", "web"), obj("Deployment", "web", replicas=2)
    assert told((before, after)) == []
    after["metadata"]["generation"] = 2
    assert told((before, after)) == ["kubectl changes Deployment web"]


def test_the_order_is_that_of_cause_and_effect_whatever_came_first():
    run, made = (pod("a"), pod("a", phase="Running")), (None, pod("b"))
    assert told(run, made) == ["replica set controller creates a Pod", "kubelet runs a Pod"]


def test_the_same_done_to_two_objects_is_one_step_and_twice_to_one_is_one():
    up, down = pod("a", phase="Running"), pod("a")
    assert told((pod("a"), up), (up, down), (down, up), (pod("b"), pod("b", phase="Running"))) == [
        "kubelet runs 2 Pods"
    ]


def test_the_picture_has_a_lane_a_component_and_its_twin_a_line_a_step():
    drawn = lanes([Step("kubectl", "creates Pod p"), Step("kubelet", "runs Pod p")])
    assert str(drawn).splitlines()[1:] == ["  kubectl  creates Pod p", "  kubelet  runs Pod p"]
    assert "2 steps" in str(drawn)
    assert drawn.svg.count("class='lane'") == 2
    assert drawn.svg.count("class='rail'") == 1


def test_before_anything_has_happened_it_says_so():
    assert str(lanes([])) == "who wrote what, in the order of cause and effect (nothing yet)"


@pytest.mark.cluster
def test_one_apply_goes_through_every_component(lab):
    kubectl("apply -f web-service.yaml")
    lab.wait("endpointslices kubernetes.io/service-name=web", "Exists")
    story = lab.timeline()
    kubectl("apply -f web.yaml")
    lab.wait("deployment/web", "Available")
    lab.wait("endpointslices kubernetes.io/service-name=web", ".endpoints[*].conditions.ready=true")
    assert [line.split("  ")[1] for line in str(story.draw()).splitlines()[1:]] == [
        "kubectl", "deployment controller", "replica set controller", "scheduler", "kubelet", "kubelet",
        "endpoint slice controller", "replica set controller", "deployment controller",
    ]  # fmt: skip


@pytest.mark.cluster
def test_it_begins_when_it_is_made_and_forgets_what_was_before(lab):
    kubectl("apply -f web-service.yaml")
    story = lab.timeline()
    assert "nothing yet" in str(story.draw())
    kubectl("delete -f web-service.yaml")
    kubectl("apply -f visitor.yaml")
    lab.wait("pod/visitor", "Running")
    assert "kubectl  " in str(story.draw()).splitlines()[1]
