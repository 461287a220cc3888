"""A silent node becomes Unknown, is tainted, and loses its pods; one that speaks again gets all back."""

import contextlib
import time

import pytest

from labkit.glassbox import clock
from labkit.glassbox.controllers.node_lifecycle import seconds_tolerated, taints_of, unknown, wanted_taints
from labkit.glassbox.errors import ApiError
from tests.components import become_ready, client, controllers, events, pod
from tests.embedded import eventually

NOW = 1767225600.0  # 2026-01-01T00:00:00Z
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


def node(ready=None, *, spec=None, **conditions):
    states = {**({"Ready": ready} if ready else {}), **conditions}
    conditions = [{"type": type, "status": status} for type, status in states.items()]
    return {"metadata": {"name": "n"}, "spec": spec or {}, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("state", "taints"),
    [
        (node(), {(NOT_READY, "NoSchedule")}),
        (node("True"), set()),
        (node("False"), {(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")}),
        (node("Unknown"), {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}),
        (node("True", MemoryPressure="True"), {("node.kubernetes.io/memory-pressure", "NoSchedule")}),
        (node("True", DiskPressure="Unknown"), set()),
        (node("True", spec={"unschedulable": True}), {("node.kubernetes.io/unschedulable", "NoSchedule")}),
    ],
)
def test_taints_follow_conditions(state, taints):
    assert set(taints_of(state)) == taints


def test_taints_of_others_stay_and_those_that_hold_keep_their_time():
    foreign = {"key": "dedicated", "value": "x", "effect": "NoSchedule"}
    since = {"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": "2025-12-31T00:00:00Z"}
    stale = {"key": NOT_READY, "effect": "NoExecute", "timeAdded": "2025-12-31T00:00:00Z"}
    assert wanted_taints(node("Unknown"), [foreign, stale, since], "2026-01-01T00:00:00Z") == [
        foreign,
        since,
        {"key": UNREACHABLE, "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"},
    ]


def tolerant(*tolerations):
    return {"spec": {"tolerations": list(tolerations)}}


def tolerating(seconds=None, key=UNREACHABLE):
    limit = {} if seconds is None else {"tolerationSeconds": seconds}
    return {"key": key, "operator": "Exists", "effect": "NoExecute", **limit}


@pytest.mark.parametrize(
    ("tolerations", "left"),
    [
        ((), 0),
        ((tolerating(),), None),
        ((tolerating(300),), 240),
        ((tolerating(30),), -30),
        ((tolerating(300), tolerating(100)), 40),
        ((tolerating(300, key=NOT_READY),), 0),
    ],
)
def test_a_pod_stays_for_as_long_as_it_tolerates_the_taint(tolerations, left):
    taint = {"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": clock.rfc3339(NOW - 60)}
    assert seconds_tolerated(tolerant(*tolerations), [taint], NOW) == left


def test_each_taint_must_be_tolerated():
    taints = [{"key": UNREACHABLE, "effect": "NoExecute"}, {"key": "fire", "effect": "NoExecute"}]
    assert seconds_tolerated(tolerant(tolerating(300)), taints, NOW) == 0


def test_a_kubelet_that_never_spoke_is_told_from_one_that_stopped():
    assert unknown("Ready", None)["reason"] == "NodeStatusNeverUpdated"
    heard = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    assert unknown("Ready", heard) == {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
        "lastHeartbeatTime": "2026-01-01T00:00:00Z",
    }


# -- the controller's process against an API server alone; the test speaks for the kubelet

GRACE = 0.5  # seconds


@pytest.fixture
def api(own_api_server):
    own_api_server.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    with controllers(own_api_server.kubeconfig, "node-controller", options=("--node-monitor-grace-period", str(GRACE))):
        yield client(own_api_server)


def speak(api):
    """Do what a kubelet does that is alive: renew the lease, say that the node is ready."""
    renewed = {"spec": {"renewTime": clock.rfc3339_micro(time.time()), "holderIdentity": "n"}}
    try:
        api.patch("leases", "n", "kube-node-lease", renewed)
    except ApiError:
        api.create("leases", {"metadata": {"name": "n", "namespace": "kube-node-lease"}, **renewed})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    now = clock.rfc3339(time.time())
    status = {"conditions": [{**ready, "lastHeartbeatTime": now, "lastTransitionTime": now}]}
    api.patch("nodes", "n", None, {"status": status}, kind="strategic", subresource="status")


def start_node(api):
    with contextlib.suppress(ApiError):  # it is there already
        api.create("namespaces", {"metadata": {"name": "kube-node-lease"}})
    api.create("nodes", {"metadata": {"name": "n"}})
    speak(api)


def ready(api):
    conditions = api.get("nodes", "n")["status"].get("conditions") or []
    return {each["type"]: each["status"] for each in conditions}.get("Ready")


def taints(api):
    return {(each["key"], each["effect"]) for each in api.get("nodes", "n")["spec"].get("taints") or []}


def running(api, name, *tolerations):
    made = api.create("pods", pod(name, "default", node="n", spec={"tolerations": list(tolerations)}))
    become_ready(api, made)


def deleting(api, name):
    return "deletionTimestamp" in api.get("pods", name, "default")["metadata"]


def test_a_silent_node_is_unknown_and_tainted_until_it_speaks_again(api):
    start_node(api)
    running(api, "p")
    eventually(lambda: ready(api) == "Unknown")
    eventually(lambda: taints(api) == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")})
    eventually(lambda: ("NodeNotReady", "Node n status is now: NodeNotReady") in events(api, "default", "n"))
    eventually(lambda: ("NodeNotReady", "Node is not ready") in events(api, "default", "p"))
    [condition] = [each for each in api.get("pods", "p", "default")["status"]["conditions"] if each["type"] == "Ready"]
    assert condition["status"] == "False"
    assert not deleting(api, "p")  # for 300 seconds it tolerates that
    speak(api)
    eventually(lambda: taints(api) == set())


def test_pods_leave_a_silent_node_when_they_no_longer_tolerate_it(api):
    start_node(api)
    running(api, "soon", tolerating(1))
    running(api, "never", tolerating())
    eventually(lambda: deleting(api, "soon"))
    assert ("TaintManagerEviction", "Marking for deletion Pod default/soon") in eventually(
        lambda: [each for each in events(api, "default", "soon") if each[0] == "TaintManagerEviction"]
    )
    assert not deleting(api, "never")


def test_a_node_whose_lease_is_renewed_stays_ready(api):
    start_node(api)
    deadline = time.monotonic() + 4 * GRACE
    while time.monotonic() < deadline:
        speak(api)
        assert ready(api) == "True"
        time.sleep(GRACE / 5)


def test_a_cordoned_node_is_tainted_for_as_long_as_it_is(api):
    start_node(api)
    api.patch("nodes", "n", None, {"spec": {"unschedulable": True}})
    cordoned = ("node.kubernetes.io/unschedulable", "NoSchedule")
    eventually(lambda: cordoned in taints(api))
    api.patch("nodes", "n", None, {"spec": {"unschedulable": None}})
    eventually(lambda: cordoned not in taints(api))


def test_a_taint_set_by_hand_drives_pods_off(api):
    api.create("nodes", {"metadata": {"name": "n"}})
    running(api, "p")
    running(api, "careless", {"key": "fire", "operator": "Exists"})
    api.patch("nodes", "n", None, {"spec": {"taints": [{"key": "fire", "effect": "NoExecute"}]}})
    eventually(lambda: deleting(api, "p"))
    assert not deleting(api, "careless")


def test_a_node_made_by_hand_gets_a_pod_range_for_good(api):
    api.create("nodes", {"metadata": {"name": "by-hand"}})
    made = eventually(lambda: (found := api.get("nodes", "by-hand"))["spec"].get("podCIDR") and found)
    assert made["metadata"]["annotations"] == {"node.alpha.kubernetes.io/ttl": "0"}
    with pytest.raises(ApiError) as refused:
        api.patch("nodes", "by-hand", None, {"spec": {"podCIDR": "192.0.2.0/24", "podCIDRs": ["192.0.2.0/24"]}})
    assert 'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid' in str(refused.value)
