"""Trials of what an autoscaler looks after: its least is waited for, and it does not work against a trial."""

import pytest
import yaml

from labkit.trials.faults import Faults
from tests.lessons import kubectl
from tests.test_lesson_08 import apply

LESSON = "08"
pytestmark = pytest.mark.cluster


def autoscaler(target="web", least=2, most=3):
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                     "minReplicas": least, "maxReplicas": most}}  # fmt: skip


def bounds():
    spec = yaml.safe_load(kubectl("get hpa web -o yaml"))["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


@pytest.fixture
def web(lab):
    """One pod of a Deployment that says nothing of replicas."""
    container = {"name": "c", "image": "busybox:1.36", "command": ["sleep", "inf"]}
    template = {"metadata": {"labels": {"tier": "web"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}  # fmt: skip
    spec = {"selector": {"matchLabels": {"tier": "web"}}, "template": template}
    apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    lab.wait("pods tier=web", "1 Ready")
    return Faults(lab.api, lab.namespace, 25)


def test_what_an_autoscaler_wants_at_least_is_waited_for(web):
    apply(autoscaler())
    pods, _ = web.settled("tier=web")
    assert len(pods) == 2


def test_an_autoscaler_of_something_else_is_not_waited_for(web):
    apply(autoscaler("other"))
    web.within = 0.1
    pods, _ = web.settled("tier=web")
    assert len(pods) == 1


def test_what_is_scaled_is_not_scaled_back_by_its_autoscaler_and_both_are_as_before_at_the_end(web):
    apply(autoscaler(least=1))
    web.scale("tier=web", 4)
    assert (len(web.settled("tier=web")[0]), bounds()) == (4, (4, 4))
    web.undo()
    assert (len(web.settled("tier=web")[0]), bounds()) == (1, (1, 3))


def test_a_pod_that_has_ended_by_itself_is_no_longer_there(web, lab):
    kubectl("run first --image=busybox:1.36 --labels=tier=web --restart=Never -- true")
    lab.wait("pod/first", "Succeeded")
    web.scale("tier=web", 0)
    assert [p["metadata"]["name"] for p in lab.api.items("pods", lab.namespace)] == ["first"]


def test_what_is_scaled_to_nothing_leaves_its_autoscaler_as_it_is(web):
    apply(autoscaler(least=1))
    web.scale("tier=web", 0)
    assert bounds() == (1, 3)
    web.undo()
    assert len(web.settled("tier=web")[0]) == 1
