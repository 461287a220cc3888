"""What the live view says of objects: kubectl's words, five looks, the newest events first."""

import pytest

from labkit.widgets.feed import Snapshot
from labkit.widgets.live import head_of
from labkit.widgets.scene import NO_NODE, Look, latest, scene_of, tile_of


def pod_object(name="web", *, node="node1", phase="Running", ready=True, state=None, **meta):
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    container = {"name": "main", "restartCount": 2, "state": state or {"running": {}}}
    return {
        "kind": "Pod",
        "metadata": {"uid": f"uid-{name}", "name": name, **meta},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": [condition], "containerStatuses": [container], "podIP": "10.1.0.2"},
    }


def deployment(name, replicas, ready, **meta):
    metadata = {"uid": f"uid-{name}", "name": name, **meta}
    return {
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": replicas},
        "status": {"readyReplicas": ready},
    }


def event(reason, when, revision="1"):
    about = {"kind": "Pod", "name": "web"}
    return {"metadata": {"resourceVersion": revision}, "involvedObject": about, "reason": reason, "message": "so",
            "lastTimestamp": when}  # fmt: skip


def waiting(reason):
    return {"waiting": {"reason": reason}}


@pytest.mark.parametrize(
    ("pod", "status", "look"),
    [
        (pod_object(), "Running", Look.READY),
        (pod_object(ready=False), "Running", Look.STARTING),
        (pod_object(ready=False, node="", phase="Pending", state={"": {}}), "Pending", Look.STARTING),
        (
            pod_object(ready=False, phase="Pending", state=waiting("ContainerCreating")),
            "ContainerCreating",
            Look.STARTING,
        ),
        (
            pod_object(ready=False, phase="Pending", state=waiting("ImagePullBackOff")),
            "ImagePullBackOff",
            Look.FAILING,
        ),
        (pod_object(ready=False, state=waiting("CrashLoopBackOff")), "CrashLoopBackOff", Look.FAILING),
        (
            pod_object(ready=False, phase="Failed", state={"terminated": {"reason": "OOMKilled"}}),
            "OOMKilled",
            Look.FAILING,
        ),
        (
            pod_object(ready=False, phase="Succeeded", state={"terminated": {"reason": "Completed"}}),
            "Completed",
            Look.DONE,
        ),
        (pod_object(deletionTimestamp="2026-01-01T00:00:00Z"), "Terminating", Look.ENDING),
    ],
)
def test_a_pod_has_kubectls_word_and_one_of_five_looks(pod, status, look):
    tile = tile_of(pod)
    assert (tile.status, tile.look) == (status, look)


def test_every_look_has_a_mark_of_its_own():
    assert len({look.value for look in Look}) == len(Look)


def test_a_pods_sentence_holds_what_one_asks_for():
    assert tile_of(pod_object()).sentence == "pod web · Running · node1 · 10.1.0.2 · 2 restarts"


def test_nodes_without_pods_are_shown_and_pods_without_node_come_last():
    nodes = tuple({"metadata": {"name": name}} for name in ("node10", "node2", "node1"))
    pods = (pod_object("a", node=""), pod_object("b", node="node2"))
    scene = scene_of(Snapshot({"pods": pods, "nodes": nodes}))
    assert [(name, [tile.name for tile in tiles]) for name, tiles in scene.nodes] == [
        ("node1", []),
        ("node2", ["b"]),
        ("node10", []),
        (NO_NODE, ["a"]),
    ]


def test_what_another_object_scales_has_no_control():
    owned = deployment("web-123", 3, 3, ownerReferences=[{"uid": "uid-web"}])
    scene = scene_of(Snapshot({"deployments": (deployment("web", 3, 1),), "replicasets": (owned,)}))
    assert [(each.name, each.ready, each.wanted) for each in scene.workloads] == [("web", 1, 3)]


@pytest.mark.parametrize(
    ("pods", "line"),
    [
        ((), "no pods"),
        ((pod_object(),), "1 pod, 1 ready"),
        ((pod_object("a"), pod_object("b", ready=False)), "2 pods, 1 ready"),
    ],
)
def test_a_line_sums_it_up(pods, line):
    assert scene_of(Snapshot({"pods": pods})).headline == line


def test_the_newest_event_comes_first_and_a_seconds_events_in_their_order():
    events = [
        event("First", "2026-01-01T10:00:00Z", "7"),
        event("Third", "2026-01-01T10:00:01Z", "10"),
        event("Second", "2026-01-01T10:00:01Z", "9"),
    ]
    assert [line.split()[2] for line in latest(events)] == ["Third:", "Second:", "First:"]
    assert latest(events)[0] == "10:00:01  pod/web  Third: so"


def test_each_cause_is_told_once_and_who_may_not_list_nodes_is_not_told_of_it():
    dead, forbidden = "no API server answers", 'nodes is forbidden: User "ana" cannot list resource "nodes"'
    assert "trouble" not in head_of("lab-02", "no pods", {"nodes": forbidden})
    head = head_of("lab-02", "no pods", {"pods": dead, "events": dead, "nodes": dead})
    assert head.count("no API server answers") == 1
