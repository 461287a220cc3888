"""Daemon sets: which nodes, and the steps of an update, as tables; and daemons on real nodes."""

import pytest

from labkit.glassbox.controllers.daemonset_plan import Sight, places, plan, roll, status_of
from labkit.glassbox.controllers.daemonset_pods import belongs, node_of, pod_for
from tests.components import become_ready, client, controllers, events, names, workload
from tests.embedded import eventually
from tests.live import fresh_namespace

NOW = 1767225600.0  # 2026-01-01T00:00:00Z


def daemon(surge=0, unavailable=1, kind="RollingUpdate", **pod_spec):
    rolling = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}} if kind == "RollingUpdate" else {}
    template = {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "c"}], **pod_spec}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "n", "uid": "set", "generation": 1},
        "spec": {"template": template, "updateStrategy": {"type": kind, **rolling}},
    }


def node(name, *taints, **labels):
    listed = [{"key": key, "effect": effect} for key, effect in taints]
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": listed} if listed else {}}


NODES = [node("a"), node("b"), node("c")]


def pod(on, state="ready", digest="new", minute=0):
    """A pod that is ready, starting, failed or going (ready, and being deleted), named after node and template."""
    metadata = {"name": f"{on}-{digest}", "labels": {"controller-revision-hash": digest}}
    metadata["creationTimestamp"] = f"2025-12-31T23:{minute:02}:00Z"
    if state == "going":
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2025-12-31T23:59:50Z"}
    phase = {"starting": "Pending", "failed": "Failed"}.get(state, "Running")
    conditions = [ready] if state in ("ready", "going") else []
    return {"metadata": metadata, "spec": {"nodeName": on}, "status": {"phase": phase, "conditions": conditions}}


def old(on, state="ready"):
    return pod(on, state, "old")


def sight(ds, pods, nodes=NODES):
    return Sight(ds, places(ds, nodes, pods), "new", NOW)


def told(step):
    make, delete = step
    return make, [each["metadata"]["name"] for each in delete]


@pytest.mark.parametrize(
    ("ds", "on", "expected"),
    [
        (daemon(), node("a"), (True, True)),
        (daemon(nodeSelector={"disk": "ssd"}), node("a"), (False, False)),
        (daemon(nodeSelector={"disk": "ssd"}), node("a", disk="ssd"), (True, True)),
        (daemon(nodeName="b"), node("a"), (False, False)),
        (daemon(), node("a", ("dedicated", "NoSchedule")), (False, True)),
        (daemon(), node("a", ("dedicated", "NoExecute")), (False, False)),
        (daemon(tolerations=[{"operator": "Exists"}]), node("a", ("dedicated", "NoExecute")), (True, True)),
        (daemon(), node("a", ("node.kubernetes.io/unreachable", "NoExecute")), (True, True)),
        (daemon(), node("a", ("node.kubernetes.io/unschedulable", "NoSchedule")), (True, True)),
        (daemon(), node("a", ("node.kubernetes.io/network-unavailable", "NoSchedule")), (False, True)),
        (daemon(hostNetwork=True), node("a", ("node.kubernetes.io/network-unavailable", "NoSchedule")), (True, True)),
        (daemon(), node("a", ("soft", "PreferNoSchedule")), (True, True)),
    ],
)
def test_where_a_daemon_shall_run_and_may_stay(ds, on, expected):
    assert belongs(ds, on) == expected


def test_a_daemons_pod_is_bound_to_its_node_by_affinity_and_tolerates_what_drives_others_off():
    made = pod_for(daemon(), "a", "abc")
    assert made["metadata"]["labels"] == {"app": "agent", "controller-revision-hash": "abc"}
    assert node_of(made) == "a"
    assert "nodeName" not in made["spec"]
    assert [(each["key"].partition("/")[2], each["effect"]) for each in made["spec"]["tolerations"]] == [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ]


def test_the_templates_own_affinity_is_kept_beside_the_node():
    term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    made = pod_for(daemon(affinity=affinity), "a")
    [bound] = made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert bound == {**term, "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}


@pytest.mark.parametrize(
    ("pods", "make", "delete"),
    [
        ([], ["a", "b", "c"], []),
        ([pod("a"), pod("b")], ["c"], []),
        ([pod("a"), pod("b"), pod("c", "failed")], [], ["c-new"]),
        ([pod("a"), pod("b"), pod("c", "going")], [], []),
        ([pod("a"), pod("b"), pod("c"), pod("c", "starting", "second", minute=9)], [], ["c-second"]),
        ([pod("a"), pod("b"), old("c")], [], []),
    ],
)
def test_each_node_gets_one_pod(pods, make, delete):
    assert told(plan(sight(daemon(), pods), pods)) == (make, delete)


def test_a_node_that_no_longer_matches_loses_its_pod_and_a_tainted_one_keeps_it():
    nodes = [node("a"), node("b", ("dedicated", "NoExecute")), node("c", ("dedicated", "NoSchedule"))]
    pods = [pod("a"), pod("b"), pod("c")]
    assert told(plan(sight(daemon(), pods, nodes), pods)) == ([], ["b-new"])


def test_a_pod_meant_for_a_node_that_has_gone_is_deleted():
    waiting = pod_for(daemon(), "gone", "new")
    waiting["metadata"] |= {"name": "waiting", "creationTimestamp": "2025-12-31T23:00:00Z"}
    pods = [pod("a"), pod("b"), pod("c"), waiting]
    assert told(plan(sight(daemon(), pods), pods)) == ([], ["waiting"])


@pytest.mark.parametrize(
    ("ds", "pods", "make", "delete"),
    [
        (daemon(), [old("a"), old("b"), old("c")], [], ["a-old"]),
        (daemon(), [pod("a", "starting"), old("b"), old("c")], [], []),
        (daemon(), [old("a", "going"), old("b"), old("c")], [], []),
        (daemon(), [pod("a"), old("b"), old("c")], [], ["b-old"]),
        (daemon(), [old("a", "starting"), old("b"), old("c")], [], ["a-old", "b-old"]),
        (daemon(unavailable=2), [old("a"), old("b"), old("c")], [], ["a-old", "b-old"]),
        (daemon(unavailable="50%"), [old("a"), old("b"), old("c")], [], ["a-old", "b-old"]),
        (daemon(unavailable=0), [old("a"), old("b"), old("c")], [], ["a-old"]),
        (daemon(surge=1, unavailable=0), [old("a"), old("b"), old("c")], ["a"], []),
        (daemon(surge=1, unavailable=0), [old("a"), pod("a", "starting"), old("b"), old("c")], [], []),
        (daemon(surge="100%", unavailable=0), [old("a"), old("b"), pod("c")], ["a", "b"], []),
        (daemon(surge=1, unavailable=0), [old("a", "starting"), old("b"), old("c")], ["a", "b"], []),
    ],
)
def test_an_update_goes_so_many_nodes_at_a_time(ds, pods, make, delete):
    assert told(roll(sight(ds, pods))) == (make, delete)


@pytest.mark.parametrize(
    ("here", "delete"),
    [
        ([old("a"), pod("a", "starting")], []),
        ([old("a"), pod("a")], ["a-old"]),
        ([old("a", "starting"), pod("a", "starting")], ["a-old"]),
    ],
)
def test_in_a_surge_the_old_pod_stays_until_the_new_one_is_available(here, delete):
    pods = [*here, pod("b"), pod("c")]
    assert told(plan(sight(daemon(surge=1, unavailable=0), pods), pods)) == ([], delete)


def test_the_status_counts_nodes():
    nodes = [node("a"), node("b"), node("c"), node("d", ("dedicated", "NoExecute"))]
    assert status_of(sight(daemon(), [pod("a"), old("b", "starting"), pod("d")], nodes), 0) == {
        "currentNumberScheduled": 2,
        "numberMisscheduled": 1,
        "desiredNumberScheduled": 3,
        "numberReady": 1,
        "observedGeneration": 1,
        "updatedNumberScheduled": 1,
        "numberAvailable": 1,
        "numberUnavailable": 2,
    }


# -- the controller's process against an API server alone: pods are ready when the test says so


@pytest.fixture
def api(own_api_server):
    """A client, with a controller and two nodes."""
    own_api_server.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    with controllers(own_api_server.kubeconfig, "daemonset-controller"):
        found = client(own_api_server)
        for name in ("a", "b"):
            join(found, name)
        yield found


def join(api, name):
    """Add a node that is ready: without the taint that a new one has until its kubelet reports."""
    api.create("nodes", {"metadata": {"name": name}})
    api.patch("nodes", name, None, {"spec": {"taints": None}})


def daemonset(namespace, **spec):
    made = workload("DaemonSet", "agent", namespace, 0, spec=spec)
    del made["spec"]["replicas"]
    return made


def make(api, **spec):
    return api.create("daemonsets", daemonset("default", **spec))


def on(api):
    """Node → name of the pod that is meant for it and stays."""
    found = api.list("pods", "default")["items"]
    return {node_of(each): each["metadata"]["name"] for each in found if "deletionTimestamp" not in each["metadata"]}


def ready(api, but=()):
    for each in api.list("pods", "default")["items"]:
        if each["metadata"]["name"] not in but:
            become_ready(api, each)


def status(api):
    return api.get("daemonsets", "agent", "default")["status"]


def set_image(api, image):
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}
    api.patch("daemonsets", "agent", "default", patch, kind="strategic")


def test_a_node_that_comes_gets_its_pod_and_one_that_is_tainted_loses_it(api):
    make(api)
    eventually(lambda: on(api).keys() == {"a", "b"})
    join(api, "c")
    eventually(lambda: on(api).keys() == {"a", "b", "c"})
    ready(api)
    eventually(lambda: status(api).get("numberAvailable") == 3)
    assert status(api) == {
        "currentNumberScheduled": 3,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 3,
        "numberReady": 3,
        "observedGeneration": 1,
        "updatedNumberScheduled": 3,
        "numberAvailable": 3,
    }
    api.patch("nodes", "c", None, {"spec": {"taints": [{"key": "dedicated", "effect": "NoExecute"}]}})
    eventually(lambda: on(api).keys() == {"a", "b"})
    told = {"SuccessfulCreate", "SuccessfulDelete"}
    eventually(lambda: {reason for reason, _ in events(api, "default", "agent")} == told)


def test_a_failed_pod_is_told_of_and_replaced_later_each_time(api):
    make(api, updateStrategy={"type": "OnDelete"})
    eventually(lambda: on(api).keys() == {"a", "b"})
    first = on(api)["a"]
    fail(api, first)
    second = eventually(lambda: (found := on(api).get("a")) != first and found)
    told = f"Found failed daemon pod default/{first} on node a, will try to kill it"
    eventually(lambda: ("FailedDaemonPod", told) in events(api, "default", "agent"))
    fail(api, second)
    assert second in names(api.list("pods", "default")["items"])
    eventually(lambda: on(api).get("a") not in (None, second))


def fail(api, name):
    api.patch("pods", name, "default", {"status": {"phase": "Failed"}}, subresource="status")


def test_an_update_with_surge_starts_the_new_pod_beside_the_old_one(api):
    make(api, updateStrategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    eventually(lambda: on(api).keys() == {"a", "b"})
    ready(api)
    eventually(lambda: status(api).get("numberAvailable") == 2)
    before = names(api.list("pods", "default")["items"])
    set_image(api, "busybox:latest")
    during = eventually(lambda: (found := names(api.list("pods", "default")["items"])) > before and found)
    assert len(during) == 3
    ready(api, but=before)
    eventually(lambda: len(names(api.list("pods", "default")["items"]) & before) < 2)


# -- on a cluster


def test_kubectl_rolls_a_daemon_set_out_and_back_on_every_node(cluster):
    with fresh_namespace(cluster) as namespace:
        kubectl = lambda *arguments: cluster.kubectl("-n", namespace, *arguments)  # noqa: E731
        client(cluster).create("daemonsets", daemonset(namespace))
        rolled_out = 'daemon set "agent" successfully rolled out\n'
        assert kubectl("rollout", "status", "ds/agent", "--timeout=30s").endswith(rolled_out)
        nodes = kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}").split()
        assert sorted(nodes) == sorted(kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split())
        kubectl("set", "image", "ds/agent", "c=busybox:latest")
        assert kubectl("rollout", "status", "ds/agent", "--timeout=30s").endswith(rolled_out)
        assert kubectl("rollout", "undo", "ds/agent") == "daemonset.apps/agent rolled back\n"
        assert kubectl("rollout", "status", "ds/agent", "--timeout=30s").endswith(rolled_out)
        assert kubectl("rollout", "history", "ds/agent").split("\n")[2:4] == ["2         <none>", "3         <none>"]
