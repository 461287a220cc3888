"""The scheduler: each filter's words, the scores, and pods on their way to a node."""

import random
from collections import Counter

import pytest

from labkit.glassbox.pod_requests import requests
from labkit.glassbox.scheduler import volumes
from labkit.glassbox.scheduler.choice import Choice, best, explain
from labkit.glassbox.scheduler.cycle import Cycle, Storage
from labkit.glassbox.scheduler.filters import unimplemented, why_not
from labkit.glassbox.scheduler.nodes import NodeInfo
from labkit.glassbox.scheduler.reasons import Reason
from labkit.glassbox.scheduler.scores import least_allocated, preferred_affinity, tainted
from labkit.glassbox.scheduler.spread import crowding
from labkit.glassbox.taints import is_tolerated
from tests.components import client, events, pod, scheduler
from tests.embedded import eventually

NOT_HELPFUL = (
    "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)


def node(name="node1", *, labels=None, cpu="4", pods="110", **spec):
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": pods}},
    }


def asking(cpu=None, uid="u", owner=None, **spec):
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}} if cpu else {}}
    references = [{"uid": owner, "controller": True}] if owner else []
    metadata = {"name": "p", "namespace": "n", "uid": uid, "ownerReferences": references}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}}


def holding(*pods, **options):
    info = NodeInfo(node(**options))
    for each in pods:
        info.add(each)
    return info


def port(number, address=""):
    return {"containers": [{"name": "c", "ports": [{"hostPort": number, "containerPort": number, "hostIP": address}]}]}


def required(*expressions):
    term = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}


def cycle(wants, *infos, **more):
    return Cycle(wants, {info.name: info for info in infos}, **more)


TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("wants", "info", "reasons"),
    [
        (asking(), holding(), []),
        (asking(), holding(unschedulable=True), ["node(s) were unschedulable"]),
        (asking(nodeName="other"), holding(), ["node(s) didn't match the requested node name"]),
        (asking(), holding(taints=[TAINT]), ["node(s) had untolerated taint(s)"]),
        (asking(tolerations=[{"operator": "Exists"}]), holding(taints=[TAINT], unschedulable=True), []),
        (asking(nodeSelector={"a": "b"}), holding(), ["node(s) didn't match Pod's node affinity/selector"]),
        (asking(nodeSelector={"a": "b"}), holding(labels={"a": "b"}), []),
        (asking("5"), holding(), ["Insufficient cpu"]),
        (asking("3"), holding(asking("1500m", uid="other")), ["Insufficient cpu"]),
        (asking("3"), holding(asking("1", uid="other")), []),
        (asking(), holding(asking(uid="other"), pods="1"), ["Too many pods"]),
        (
            asking(**port(80)),
            holding(asking(uid="other", **port(80))),
            ["node(s) didn't have free ports for the requested pod ports"],
        ),
        (asking(**port(80)), holding(asking(uid="other", **port(81))), []),
        (asking(**port(80, "10.0.0.1")), holding(asking(uid="other", **port(80, "10.0.0.2"))), []),
    ],
)
def test_a_filter_says_why_not_in_the_words_of_events(wants, info, reasons):
    assert [reason.text for reason in why_not(cycle(wants, info), info)] == reasons


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}, True),
        ({"key": "disk", "operator": "NotIn", "values": ["ssd"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["ssd"]}, True),
        ({"key": "disk", "operator": "Exists"}, True),
        ({"key": "disk", "operator": "DoesNotExist"}, False),
        ({"key": "cores", "operator": "Gt", "values": ["3"]}, True),
        ({"key": "cores", "operator": "Lt", "values": ["4"]}, False),
        ({"key": "disk", "operator": "Gt", "values": ["3"]}, False),
    ],
)
def test_affinity_operators(expression, fits):
    info = holding(labels={"disk": "ssd", "cores": "4"})
    assert (why_not(cycle(asking(affinity=required(expression)), info), info) == []) is fits


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "k", "value": "other"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_tolerations(toleration, tolerated):
    assert is_tolerated(asking(tolerations=[toleration]), TAINT) is tolerated


def test_init_containers_run_one_after_the_other_and_containers_together():
    def container(cpu):
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}}

    both = {"containers": [container("1"), container("500m")], "initContainers": [container("2"), container("1")]}
    assert requests({"spec": both}) == {"cpu": 2000}


def test_sidecars_run_beside_all_that_come_after_them():
    def container(cpu, **more):
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    first = [container("3"), container("1", restartPolicy="Always")]
    assert requests({"spec": {"initContainers": first, "containers": [container("1")]}}) == {"cpu": 3000}
    then = [container("1", restartPolicy="Always"), container("3")]
    assert requests({"spec": {"initContainers": then, "containers": [container("1")]}}) == {"cpu": 4000}


def test_what_the_pod_itself_asks_for_takes_the_place_of_its_containers_sum():
    container = {"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Mi"}}}
    spec = {"containers": [container, container], "resources": {"requests": {"cpu": "3"}}, "overhead": {"cpu": "500m"}}
    assert requests({"spec": spec}) == {"cpu": 3500, "memory": 2 << 20}


def test_a_pod_that_left_gives_back_what_it_asked_for():
    info = holding(asking("1", uid="a"), asking("2", uid="b"))
    info.add(asking("1500m", uid="b"))
    info.remove("a")
    assert info.requested["cpu"] == 1500
    assert not info.remove("a")


def test_what_is_not_implemented_is_named():
    wants = asking(resourceClaims=[{"name": "gpu"}])
    assert unimplemented(wants) == ["resourceClaims"]
    assert best(cycle(wants, holding()), random.Random(1)).why == "resourceClaims: not implemented by this scheduler"


@pytest.mark.parametrize(
    ("rate", "wants", "higher", "lower"),
    [
        (least_allocated, asking("1"), holding(), holding(asking("1", uid="other"))),
        (tainted, asking(), holding(taints=[{**TAINT, "effect": "PreferNoSchedule"}]), holding()),
    ],
)
def test_ratings(rate, wants, higher, lower):
    assert rate(cycle(wants, higher), higher) > rate(cycle(wants, lower), lower)


def test_pods_of_one_controller_crowd_a_node():
    empty = holding(asking(uid="a", owner="x"), name="a", labels={"kubernetes.io/hostname": "a"})
    full = holding(asking(uid="b", owner="rs"), name="b", labels={"kubernetes.io/hostname": "b"})
    look = cycle(asking(owner="rs"), empty, full)
    assert crowding(look, full) > crowding(look, empty)


def test_preferred_affinity_counts_by_weight():
    def term(weight, value):
        return {
            "weight": weight,
            "preference": {"matchExpressions": [{"key": "z", "operator": "In", "values": [value]}]},
        }

    preferred = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term(3, "a"), term(1, "b")]}}
    a, b = holding(name="a", labels={"z": "a"}), holding(name="b", labels={"z": "b"})
    look = cycle(asking(affinity=preferred), a, b)
    assert [preferred_affinity(look, each) for each in (a, b)] == [3, 1]


def test_the_sentence_for_no_nodes():
    assert explain(Choice()) == "no nodes available to schedule pods"


def test_the_sentence_counts_reasons_and_says_whether_preemption_could_help():
    cpu, taint = Reason("Insufficient cpu", resolvable=True), Reason("node(s) had untolerated taint(s)")
    choice = Choice(against={"a": [cpu], "b": [cpu], "c": [taint]})
    assert explain(choice, "not eligible due to preemptionPolicy=Never.") == (
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. no new claims to deallocate, "
        "preemption: not eligible due to preemptionPolicy=Never."
    )


def test_equals_draw_lots():
    nodes = [holding(name="a"), holding(name="b")]
    drawn = {best(cycle(asking(), *nodes), random.Random(seed)).node for seed in range(20)}
    assert drawn == {"a", "b"}


# -- a scheduler process against an API server alone


@pytest.fixture
def scheduling(own_api_server):
    """An API server with a running scheduler, and a client of it."""
    own_api_server.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    with scheduler(own_api_server.kubeconfig):
        yield client(own_api_server)


def add_node(api, name="node1", **options):
    made = node(name, **options)
    api.update_status("nodes", {**api.create("nodes", made), "status": made["status"]})
    api.patch("nodes", name, None, {"spec": {"taints": None}})  # as the node controller does once the node is ready


def node_of(api, name):
    return api.get("pods", name, "default")["spec"].get("nodeName")


def why_pending(api, name):
    conditions = (api.get("pods", name, "default").get("status") or {}).get("conditions") or []
    return next((each["message"] for each in conditions if each.get("reason") == "Unschedulable"), None)


def test_a_pod_is_bound_and_told_of(scheduling):
    add_node(scheduling)
    scheduling.create("pods", pod("p", "default"))
    eventually(lambda: node_of(scheduling, "p") == "node1")
    told = eventually(lambda: events(scheduling, "default", "p"))
    assert told == [("Scheduled", "Successfully assigned default/p to node1")]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, "1 node(s) didn't match Pod's node affinity/selector. "),
        (
            {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "500"}}}]},
            "1 Insufficient cpu. ",
        ),
    ],
)
def test_a_pod_that_fits_nowhere_says_why_once(scheduling, spec, reason):
    add_node(scheduling)
    scheduling.create("pods", pod("p", "default", spec=spec))
    why = eventually(lambda: why_pending(scheduling, "p"))
    assert why == "0/1 nodes are available: " + reason + NOT_HELPFUL
    scheduling.create("pods", pod("after", "default"))
    eventually(lambda: node_of(scheduling, "after"))
    assert events(scheduling, "default", "p") == [("FailedScheduling", why)]
    [event] = scheduling.list("events", "default", field_selector="involvedObject.name=p")["items"]
    assert event["count"] == 1


def test_a_pending_pod_is_bound_when_a_node_gets_the_label_that_it_asks_for(scheduling):
    add_node(scheduling)
    scheduling.create("pods", pod("p", "default", spec={"nodeSelector": {"disk": "ssd"}}))
    eventually(lambda: why_pending(scheduling, "p"))
    scheduling.patch("nodes", "node1", None, {"metadata": {"labels": {"disk": "ssd"}}})
    eventually(lambda: node_of(scheduling, "p") == "node1", within=3)


def test_a_pending_pod_is_bound_when_a_node_comes(scheduling):
    scheduling.create("pods", pod("p", "default"))
    assert eventually(lambda: why_pending(scheduling, "p")) == "no nodes available to schedule pods"
    add_node(scheduling)
    eventually(lambda: node_of(scheduling, "p") == "node1", within=3)


def test_a_pending_pod_gets_the_room_of_one_that_goes(scheduling):
    big = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "3"}}}]}
    add_node(scheduling)
    scheduling.create("pods", pod("first", "default", spec=big))
    eventually(lambda: node_of(scheduling, "first"))
    scheduling.create("pods", pod("second", "default", spec=big))
    assert "No preemption victims found for incoming pod" in eventually(lambda: why_pending(scheduling, "second"))
    scheduling.delete("pods", "first", "default", grace_period_seconds=0)
    eventually(lambda: node_of(scheduling, "second") == "node1", within=3)


def test_a_gated_pod_waits_for_its_gates(scheduling):
    add_node(scheduling)
    scheduling.create("pods", pod("gated", "default", spec={"schedulingGates": [{"name": "example.com/wait"}]}))
    scheduling.create("pods", pod("free", "default"))
    eventually(lambda: node_of(scheduling, "free"))
    assert node_of(scheduling, "gated") is None
    [condition] = scheduling.get("pods", "gated", "default")["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("PodScheduled", "SchedulingGated")
    scheduling.patch("pods", "gated", "default", {"spec": {"schedulingGates": None}})
    eventually(lambda: node_of(scheduling, "gated"))


def important(cpu, value, **more):
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    return {"containers": [container], "priority": value, "terminationGracePeriodSeconds": 0, **more}


def test_an_important_pod_takes_the_place_of_a_less_important_one(scheduling):
    add_node(scheduling)
    class_ = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "high"},
        "value": 1000,
    }
    scheduling.create("priorityclasses", class_)
    scheduling.create("pods", pod("low", "default", spec=important("3", 0)))
    eventually(lambda: node_of(scheduling, "low"))
    wants = important("3", 1000, priorityClassName="high")
    scheduling.create("pods", pod("high", "default", spec=wants))
    uid = scheduling.get("pods", "high", "default")["metadata"]["uid"]
    told = eventually(lambda: [each for each in events(scheduling, "default", "low") if each[0] == "Preempted"])
    assert told == [("Preempted", f"Preempted by pod {uid} on node node1")]
    eventually(lambda: node_of(scheduling, "high") == "node1", within=5)
    assert "nominatedNodeName" not in scheduling.get("pods", "high", "default")["status"]  # a bound pod waits no longer


def test_another_schedulers_pod_is_left_alone(scheduling):
    add_node(scheduling)
    scheduling.create("pods", pod("other", "default", spec={"schedulerName": "other"}))
    scheduling.create("pods", pod("mine", "default"))
    eventually(lambda: node_of(scheduling, "mine"))
    assert node_of(scheduling, "other") is None


def test_replicas_spread_evenly(scheduling):
    for name in ("node1", "node2"):
        add_node(scheduling, name)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u", "controller": True}
    for number in range(10):
        scheduling.create("pods", pod(f"p{number}", "default", metadata={"ownerReferences": [owner]}))
    nodes = eventually(lambda: (found := [node_of(scheduling, f"p{n}") for n in range(10)]) and all(found) and found)
    assert Counter(nodes) == {"node1": 5, "node2": 5}


def test_fifty_pods_that_come_together_are_all_bound(scheduling):
    for name in ("node1", "node2"):
        add_node(scheduling, name)
    for number in range(50):
        scheduling.create("pods", pod(f"p{number}", "default"))
    eventually(lambda: all(each["spec"].get("nodeName") for each in scheduling.list("pods", "default")["items"]))


# --- claims that are on their way ----------------------------------------------------------


def claimed(version, **annotations):
    meta = {"name": "c", "namespace": "n", "resourceVersion": str(version), "annotations": annotations}
    return {"metadata": meta, "spec": {"storageClassName": "lazy", "resources": {"requests": {"storage": "1Mi"}}}}


def test_a_second_pod_of_a_claim_follows_the_first_to_its_node_before_the_volume_is_there():
    lazy = {"metadata": {"name": "lazy"}, "provisioner": "x", "volumeBindingMode": "WaitForFirstConsumer"}
    pod_ = asking(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}])
    claims = volumes.on_their_way({"n/c": claimed(7)}, "node1", {"n/c": 8, "n/gone": 9})
    seen = cycle(pod_, holding(), holding(name="node2"), storage=Storage(claims, {}, {"lazy": lazy}))
    assert isinstance(volumes.plan_binding(seen, seen.nodes["node1"]), volumes.Binding)
    (reason,) = volumes.volume_binding(seen, seen.nodes["node2"])
    assert reason.text == "node(s) didn't find available persistent volumes to bind"
    assert volumes.on_their_way({"n/c": claimed(9)}, "node1", {"n/c": 8}) == {}  # seen since, and given back
