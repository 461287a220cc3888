"""Pods near other pods, far from them, spread over zones; and the places that are made for important pods."""

import pytest

from labkit.glassbox.scheduler.filters import why_not
from labkit.glassbox.scheduler.interpod import neighbours
from labkit.glassbox.scheduler.preemption import Candidate, not_eligible, preempt
from labkit.glassbox.scheduler.spread import crowding
from tests.test_scheduler import asking, cycle, holding

NEAR, FAR = "node(s) didn't match pod affinity rules", "node(s) didn't match pod anti-affinity rules"
UNWELCOME = "node(s) didn't satisfy existing pods anti-affinity rules"
SKEWED = "node(s) didn't match pod topology spread constraints"


def labelled(uid, app, namespace="n", **spec):
    made = asking(uid=uid, **spec)
    made["metadata"] |= {"labels": {"app": app}, "namespace": namespace, "name": uid}
    return made


def at(name, *pods, zone=None):
    labels = {"kubernetes.io/hostname": name, **({"zone": zone} if zone else {})}
    return holding(*pods, name=name, labels=labels)


def affinity(kind, app, key="kubernetes.io/hostname", **more):
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **more}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def liking(kind, app, weight):
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}
    preferred = [{"weight": weight, "podAffinityTerm": term}]
    return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def verdicts(wants, *infos, **more):
    look = cycle(wants, *infos, **more)
    return [next(iter(reason.text for reason in why_not(look, info)), "") for info in infos]


DB, WEB = labelled("db", "db"), labelled("web", "web")


@pytest.mark.parametrize(
    ("wants", "infos", "expected"),
    [
        (affinity("podAffinity", "db"), [at("a", DB), at("b")], ["", NEAR]),
        (affinity("podAffinity", "db", key="zone"), [at("a", DB, zone="x"), at("b", zone="x")], ["", ""]),
        (affinity("podAffinity", "db", key="zone"), [at("a", DB, zone="x"), at("b")], ["", NEAR]),
        (affinity("podAntiAffinity", "db"), [at("a", DB), at("b")], [FAR, ""]),
        (affinity("podAffinity", "new"), [at("a", DB)], [""]),  # the first of its kind has nobody to be near to
        (affinity("podAffinity", "other"), [at("a", DB)], [NEAR]),
    ],
)
def test_a_pod_may_want_to_be_near_to_others_or_far_from_them(wants, infos, expected):
    assert verdicts(labelled("p", "new", affinity=wants), *infos) == expected


def test_a_pod_that_is_there_may_not_want_the_new_one():
    loner = labelled("loner", "loner", affinity=affinity("podAntiAffinity", "web"))
    assert verdicts(WEB, at("a", loner), at("b")) == [UNWELCOME, ""]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [NEAR]),
        ({"namespaces": ["other"]}, [""]),
        ({"namespaceSelector": {}}, [""]),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, [""]),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, [NEAR]),
    ],
)
def test_affinity_looks_into_its_own_namespace_unless_told_otherwise(more, expected):
    there = at("a", labelled("db", "db", namespace="other"))
    wants = labelled("p", "new", affinity=affinity("podAffinity", "db", **more))
    namespaces = {"other": {"metadata": {"name": "other", "labels": {"team": "a"}}}}
    assert verdicts(wants, there, namespaces=namespaces) == expected


def test_a_rollout_may_keep_away_from_its_own_revision_alone():
    old, new = labelled("old", "web"), labelled("new", "web")
    old["metadata"]["labels"]["rev"], new["metadata"]["labels"]["rev"] = "1", "2"
    new["spec"]["affinity"] = affinity("podAntiAffinity", "web", matchLabelKeys=["rev"])
    assert verdicts(new, at("a", old)) == [""]


def test_preferred_neighbours_give_and_take_points():
    wants = labelled("p", "new", affinity={**liking("podAffinity", "db", 10), **liking("podAntiAffinity", "web", 4)})
    infos = [at("a", DB), at("b", WEB), at("c")]
    look = cycle(wants, *infos)
    assert [neighbours(look, info) for info in infos] == [10, -4, 0]


def spreading(skew=1, when="DoNotSchedule", key="zone", **more):
    constraint = {"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": when, **more}
    constraint["labelSelector"] = {"matchLabels": {"app": "web"}}
    return labelled("p", "web", topologySpreadConstraints=[constraint])


def webs(*numbers):
    return [labelled(f"w{number}", "web") for number in numbers]


@pytest.mark.parametrize(
    ("wants", "infos", "expected"),
    [
        (spreading(), [at("a", *webs(1), zone="x"), at("b", zone="y")], [SKEWED, ""]),
        (spreading(skew=2), [at("a", *webs(1), zone="x"), at("b", zone="y")], ["", ""]),
        (spreading(), [at("a", *webs(1), zone="x"), at("b", *webs(2), zone="y")], ["", ""]),
        (spreading(), [at("a", zone="x"), at("b")], ["", f"{SKEWED} (missing required label)"]),
        (spreading(minDomains=2), [at("a", *webs(1), zone="x")], [SKEWED]),
        (spreading(when="ScheduleAnyway"), [at("a", *webs(1), zone="x"), at("b", zone="y")], ["", ""]),
    ],
)
def test_no_zone_gets_more_than_max_skew_ahead(wants, infos, expected):
    assert verdicts(wants, *infos) == expected


def test_schedule_anyway_prefers_the_emptier_zone():
    full, empty = at("a", *webs(1, 2), zone="x"), at("b", zone="y")
    look = cycle(spreading(when="ScheduleAnyway"), full, empty)
    assert crowding(look, full) > crowding(look, empty)


# -- preemption


def rated(uid, priority, cpu="2", start=None):
    made = asking(cpu, uid=uid, priority=priority)
    made["metadata"] |= {"name": uid, "labels": {"app": uid}}
    made["status"] = {"startTime": start} if start else {}
    return made


def place(wants, *infos, budgets=()):
    look = cycle(wants, *infos)
    found = preempt(look, {info.name: why_not(look, info) for info in infos}, budgets)
    if isinstance(found, Candidate):
        return found.node, [each["metadata"]["uid"] for each in found.victims]
    return [[reason.text for reason in reasons] for reasons in found]


def test_only_as_many_pods_leave_as_must():
    three = holding(rated("a", 1, "1"), rated("b", 2, "1"), rated("c", 3, "2"))
    assert place(rated("p", 9, "2"), three) == ("node1", ["b", "a"])


def test_the_node_with_the_least_important_victims_is_chosen():
    assert place(rated("p", 9), holding(rated("a", 5, "4"), name="x"), holding(rated("b", 3, "4"), name="y")) == (
        "y",
        ["b"],
    )


def test_among_equals_the_one_that_has_run_shortest_leaves():
    early, late = rated("early", 1, "4", "2026-01-01T00:00:00Z"), rated("late", 1, "4", "2026-01-02T00:00:00Z")
    assert place(rated("p", 9), holding(early, name="x"), holding(late, name="y")) == ("y", ["late"])


def test_a_budget_is_broken_only_where_there_is_no_other_place():
    budget = {
        "metadata": {"namespace": "n", "name": "b"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}},
        "status": {"disruptionsAllowed": 0},
    }
    guarded, other = holding(rated("a", 1, "4"), name="x"), holding(rated("b", 2, "4"), name="y")
    assert place(rated("p", 9), guarded, other, budgets=[budget]) == ("y", ["b"])
    assert place(rated("p", 9), guarded, budgets=[budget]) == ("x", ["a"])


@pytest.mark.parametrize(
    ("wants", "info", "reasons"),
    [
        (rated("p", 1), holding(rated("a", 1, "4")), ["No preemption victims found for incoming pod"]),
        (rated("p", 9, "5"), holding(rated("a", 1, "4")), ["Preemption is not helpful for scheduling"]),
        (rated("p", 9, "3"), holding(rated("a", 1, "1"), rated("b", 9, "2")), ["Insufficient cpu"]),
    ],
)
def test_why_nobody_can_make_room(wants, info, reasons):
    assert place(wants, info) == [reasons]


def test_a_pod_that_never_preempts_is_not_eligible():
    wants = rated("p", 9)
    wants["spec"]["preemptionPolicy"] = "Never"
    assert not_eligible(wants, {}) == "not eligible due to preemptionPolicy=Never."


def test_a_pod_whose_victims_are_leaving_waits_for_them():
    wants, victim = rated("p", 9), rated("v", 1)
    wants["status"] = {"nominatedNodeName": "node1"}
    victim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert "terminating pod on the nominated node" in not_eligible(wants, {"node1": holding(victim)})
