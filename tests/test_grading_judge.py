"""Marks made of what a cluster held: nothing for nothing, no zero for what could not be told; a rubric that changes."""

import time
from dataclasses import replace

import pytest
import yaml

from labkit import rubric
from labkit.errors import ApiFailure, ClusterError, RubricError
from labkit.grading import judge, kept, worker
from labkit.rubric import Exercise, Item, Rubric

NS = "lab-03"


def obj(kind, name, namespace=NS, labels=(), **fields):
    meta = {"name": name, "labels": dict(labels), "creationTimestamp": "2026-01-01T00:00:00Z", "uid": name}
    return {"kind": kind, "metadata": meta | ({"namespace": namespace} if namespace else {}), **fields}


def holding(**collections):
    """Return what was kept of a cluster: pods=[…], deployments=[…]."""
    names = {"pods": [], "deployments": [], "configmaps": []} | collections
    return kept.Kept([{"names": [name], "items": items} for name, items in names.items()])


def waiting(image, **labels):
    state = {"waiting": {"reason": "ImagePullBackOff"}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "c", "image": image, "state": state}]}
    return obj("Pod", "web", labels=labels, spec={"containers": [{"image": image}]}, status=status)


def of(*items):
    return Rubric("03", {"03.1": Exercise("03.1", "One", items)})


def points(marks):
    return [item["points"] for exercise in marks for item in exercise["items"]]


SPEC = Item("an image", "spec", "exists", resource="pods", path=".spec.containers[*].image", points=1)
RUNS = Item("it runs", "status", "equals", "Running", resource="pods", path=".status.phase", points=2)


def test_a_guard_over_no_object_earns_nothing():
    lesson = rubric.load(rubric.find("03"))
    api = obj("Deployment", "api", status={"availableReplicas": 2})
    (second,) = [e for e in judge.judge(holding(deployments=[api]), NS, lesson, {}) if e["number"] == "03.2"]
    assert {i["name"]: i["points"] for i in second["items"]}["nobody owns it"] == 0
    assert sum(i["points"] for i in second["items"]) == 1


def test_what_waits_for_an_image_is_no_zero_but_for_what_is_asked_of_the_image():
    nowhere = replace(SPEC, name="on a node", path=".spec.nodeName")
    known = replace(SPEC, name="an image of the list", operator="matches", value="python:3")
    (exercise,) = judge.judge(holding(pods=[waiting("nobody/has:this")]), NS, of(SPEC, nowhere, known, RUNS), {})
    assert [i["points"] for i in exercise["items"]] == [1, None, 0, None]
    assert "lacks the image nobody/has:this" in exercise["items"][3]["found"]


def test_what_is_worth_nothing_waits_for_nobody():
    (exercise,) = judge.judge(holding(pods=[waiting("x")]), NS, of(SPEC, replace(RUNS, points=0)), {})
    assert [i["points"] for i in exercise["items"]] == [1, 0]


def test_what_a_person_judges_is_open_and_keeps_nothing_else_from_being_right():
    style = Item("clear names", "manual", points=3, expected="names that say what it is")
    (exercise,) = judge.judge(holding(pods=[waiting("x")]), NS, of(SPEC, style), {})
    assert exercise["state"] == "right"
    assert [i["points"] for i in exercise["items"]] == [1, None]


def test_a_student_sees_no_item_that_a_person_judges():
    assert Exercise("03.1", "One", (SPEC, Item("style", "manual"))).checked.items == (SPEC,)


def test_a_rubric_says_what_an_item_of_a_person_may_not_have(tmp_path):
    item = {"name": "style", "type": "manual", "operator": "exists"}
    file = tmp_path / "03_x.yaml"
    file.write_text(yaml.safe_dump({"lesson": "03", "exercises": {"03.1": {"title": "One", "items": [item]}}}))
    with pytest.raises(RubricError, match=r"03_x.yaml:\d+: exercises.03.1.items.0"):
        rubric.load(file)


class TestRecheck:
    held = holding(configmaps=[obj("ConfigMap", "c", data={"colour": "red"})])
    green = Item("green", "spec", "equals", "green", resource="configmaps", path=".data.colour", points=2)
    trial = {"asked": rubric.Trial("asked", "asking", ({"ask": "page", "url": "http://web/"},))}

    def judged(self, *items):
        return {"exercises": judge.recheck(self.held, NS, of(*items), {"exercises": []})}

    def test_a_new_value_is_judged_by_what_was_kept(self):
        red = replace(self.green, value="red")
        assert points(self.judged(self.green)["exercises"]) == [0]
        assert points(judge.recheck(self.held, NS, of(red), self.judged(self.green))) == [2]

    def test_new_points_and_words_change_no_finding(self):
        first = self.judged(replace(self.green, value="red"))
        dearer = replace(self.green, value="red", points=7, expected="the colour red")
        again = judge.recheck(kept.Kept([]), NS, of(dearer), first)  # there is nothing to look at any more
        assert points(again) == [7]

    def test_a_trial_keeps_its_finding_until_it_is_defined_anew(self):
        item = Item("asked", "traffic", "equals", 0, trial="asked", path=".page.failed", points=4)
        before = Rubric("03", {"03.1": Exercise("03.1", "One", (item,), trials=self.trial)})
        first = {"exercises": judge.recheck(self.held, NS, before, {"exercises": []})}
        first["exercises"][0]["items"][0]["state"] = "right"
        assert points(judge.recheck(self.held, NS, before, first)) == [4]
        twice = {"asked": replace(self.trial["asked"], steps=self.trial["asked"].steps * 2)}
        changed = Rubric("03", {"03.1": Exercise("03.1", "One", (item,), trials=twice)})
        (exercise,) = judge.recheck(self.held, NS, changed, first)
        assert [(i["points"], i["found"]) for i in exercise["items"]] == [(None, judge.RERUN)]


class TestKept:
    held = holding(pods=[obj("Pod", "a", labels={"app": "a"}), obj("Pod", "b", "other"), waiting("x", app="a")])

    def test_selectors_pick_as_the_api_does(self):
        names = [o["metadata"]["name"] for o in self.held.items("pods", NS, label_selector="app=a")]
        assert names == ["a", "web"]
        (found,) = self.held.items("pods", NS, field_selector="status.phase=Pending")
        assert found["metadata"]["name"] == "web"
        assert self.held.get("pods", "b", NS) is None

    def test_a_selector_that_cannot_be_read_is_refused_in_the_apis_words(self):
        with pytest.raises(ApiFailure, match="found '=', expected"):
            self.held.items("pods", NS, label_selector="a=b=c,=")

    def test_a_resource_that_was_not_kept_is_told(self):
        with pytest.raises(ClusterError, match="no pigs were kept"):
            self.held.items("pigs", NS)

    def test_it_is_read_as_it_was_written(self, tmp_path):
        kept.write(tmp_path / "ana.json.gz", self.held.collections)
        assert kept.read(tmp_path / "ana.json.gz").collections == self.held.collections
        with pytest.raises(ClusterError, match="no objects were kept"):
            kept.read(tmp_path / "bea.json.gz")


@pytest.mark.parametrize(("load", "said"), [(8.0, 0), (8.1, 1)])
def test_an_overloaded_grading_machine_is_told(load, said):
    assert len(worker.busy(load, 2)) == said


FULL = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}


def rolling(ready):
    status = {"replicas": 1, "readyReplicas": ready, "updatedReplicas": 1, "observedGeneration": 1}
    return obj("Deployment", "web", spec={"replicas": 1}, status=status)


@pytest.mark.parametrize(
    ("pods", "deployments"),
    [
        ([], []), ([], [rolling(1)]), ([waiting("x")], [rolling(0)]),
        ([obj("Pod", "web", status=FULL)], [rolling(0)]),
    ],
    ids=["nothing", "rolled out", "no image", "no room"],
)  # fmt: skip
def test_what_has_settled_or_never_will_is_not_waited_for(pods, deployments):
    held = holding(pods=pods, deployments=deployments, statefulsets=[], daemonsets=[])
    begun = time.monotonic()
    judge.settle(held, NS, 20)
    assert time.monotonic() - begun < 10


def test_what_rolls_out_when_the_notebook_ends_is_waited_for():
    looks = []

    class Later(kept.Kept):
        def items(self, resource, *args, **selectors):
            looks.append(resource)
            return [rolling(looks.count("deployments") > 2)] if resource == "deployments" else []

    judge.settle(Later([]), NS, 20)
    assert looks.count("deployments") == 3
