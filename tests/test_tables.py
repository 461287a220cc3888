"""kubectl get shows what upstream's printers show."""

import pytest

from labkit.glassbox import clock
from labkit.glassbox.apiserver.tables import table
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.columns import format_selector, human_duration

BORN = "2026-01-01T00:00:00Z"
NOW = clock.parse(BORN) + 90


def shown(kind, obj):
    """Return column name → cell for one object."""
    obj = {**obj, "metadata": {"name": "x", "creationTimestamp": BORN, **obj.get("metadata", {})}}
    whole = table(REGISTRY.find(kind), [obj], {}, "Metadata", NOW)
    titles = [column["name"] for column in whole["columnDefinitions"]]
    return dict(zip(titles, whole["rows"][0]["cells"], strict=True))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (10 * 60, "10m"),
        (3 * 3600, "3h"),
        (5 * 3600 + 12 * 60, "5h12m"),
        (47 * 3600, "47h"),
        (51 * 3600, "2d3h"),
        (8 * 86400, "8d"),
        (3 * 365 * 86400 + 20 * 86400, "3y20d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_durations(seconds, told):
    assert human_duration(seconds) == told


def status(state, **more):
    return {"name": "c", "restartCount": 0, "state": state, **more}


def pod(*containers, init=(), **more):
    given = {"phase": "Running", "containerStatuses": list(containers), "initContainerStatuses": list(init), **more}
    spec = {
        "containers": [{"name": "c"} for _ in containers] or [{"name": "c"}],
        "initContainers": [{"name": each["name"]} for each in init],
    }
    return {"spec": spec, "status": given}


@pytest.mark.parametrize(
    ("given", "ready", "told"),
    [
        (pod(phase="Pending"), "0/1", "Pending"),
        (pod(status({"running": {}}, ready=True)), "1/1", "Running"),
        (pod(status({"waiting": {"reason": "ContainerCreating"}}), phase="Pending"), "0/1", "ContainerCreating"),
        (pod(status({"waiting": {"reason": "CrashLoopBackOff"}})), "0/1", "CrashLoopBackOff"),
        (pod(status({"terminated": {"exitCode": 3, "reason": "Error"}}), phase="Failed"), "0/1", "Error"),
        (pod(status({"terminated": {"exitCode": 3}}), phase="Failed"), "0/1", "ExitCode:3"),
        (pod(status({"terminated": {"signal": 9}}), phase="Failed"), "0/1", "Signal:9"),
        (pod(init=[status({"running": {}})], phase="Pending"), "0/1", "Init:0/1"),
        (
            pod(init=[status({"waiting": {"reason": "ErrImagePull"}})], phase="Pending"),
            "0/1",
            "Init:ErrImagePull",
        ),
        (pod(phase="Failed", reason="Evicted"), "0/1", "Evicted"),
        (
            pod(phase="Pending", conditions=[{"type": "PodScheduled", "reason": "SchedulingGated"}]),
            "0/1",
            "SchedulingGated",
        ),
    ],
)
def test_a_pods_state_is_one_word(given, ready, told):
    cells = shown("pods", given)
    assert (cells["Ready"], cells["Status"]) == (ready, told)


def test_a_deleted_pod_is_terminating_until_it_has_ended():
    gone = {"metadata": {"deletionTimestamp": BORN}}
    assert shown("pods", {**pod(status({"running": {}}, ready=True)), **gone})["Status"] == "Terminating"
    assert shown("pods", {**pod(phase="Succeeded"), **gone})["Status"] == "Succeeded"


def test_restarts_say_when_the_last_was():
    last = {"terminated": {"finishedAt": "2026-01-01T00:00:30Z"}}
    cells = shown("pods", pod(status({"running": {}}, restartCount=2, lastState=last)))
    assert cells["Restarts"] == "2 (60s ago)"


def test_a_pod_without_address_says_so():
    cells = shown("pods", pod(phase="Pending"))
    assert [cells[title] for title in ("IP", "Node", "Nominated Node", "Readiness Gates", "Age")] == [
        "<none>",
        "<none>",
        "<none>",
        "<none>",
        "90s",
    ]


def test_a_finished_pods_row_says_so():
    row = table(REGISTRY.find("pods"), [{"metadata": {"name": "x"}, **pod(phase="Succeeded")}], {}, "None", NOW)
    assert row["rows"][0]["conditions"][0]["message"] == "The pod has completed successfully."
    assert row["rows"][0]["object"] is None


def test_a_deployment():
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "d"}},
        "template": {"spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}]}},
    }
    assert shown("deployments", {"spec": spec, "status": {"readyReplicas": 1, "updatedReplicas": 3}}) == {
        "Name": "x",
        "Ready": "1/3",
        "Up-to-date": 3,
        "Available": 0,
        "Age": "90s",
        "Containers": "a,b",
        "Images": "i,j",
        "Selector": "app=d",
    }


@pytest.mark.parametrize(
    ("conditions", "spec", "told"),
    [
        ([{"type": "Ready", "status": "True"}], {}, "Ready"),
        ([{"type": "Ready", "status": "Unknown"}], {}, "NotReady"),
        ([], {}, "Unknown"),
        ([{"type": "Ready", "status": "True"}], {"unschedulable": True}, "Ready,SchedulingDisabled"),
    ],
)
def test_a_nodes_state(conditions, spec, told):
    assert shown("nodes", {"spec": spec, "status": {"conditions": conditions}})["Status"] == told


def test_a_nodes_roles_and_addresses():
    node = {
        "metadata": {"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": ""}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "172.30.0.11"}],
            "nodeInfo": {"kernelVersion": "6.1", "architecture": "amd64"},
        },
    }
    cells = shown("nodes", node)
    assert cells["Roles"] == "edge,worker"
    assert (cells["Internal-IP"], cells["External-IP"], cells["Kernel-Version"]) == (
        "172.30.0.11",
        "<none>",
        "6.1 (amd64)",
    )


@pytest.mark.parametrize(
    ("spec", "address", "external", "ports"),
    [
        ({"type": "ClusterIP", "clusterIPs": ["10.96.0.9"]}, "10.96.0.9", "<none>", "80/TCP"),
        ({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9"]}, "10.96.0.9", "<pending>", "80/TCP"),
        ({"type": "ExternalName", "externalName": "e.example.com"}, "<none>", "e.example.com", "80/TCP"),
        ({"type": "ClusterIP", "clusterIPs": ["None"]}, "None", "<none>", "80/TCP"),
    ],
)
def test_a_service(spec, address, external, ports):
    cells = shown("services", {"spec": {"ports": [{"port": 80, "protocol": "TCP"}], **spec}})
    assert (cells["Cluster-IP"], cells["External-IP"], cells["Port(s)"]) == (address, external, ports)


@pytest.mark.parametrize(
    ("claim", "capacity", "modes", "named"),
    [
        ({"status": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}, "", "", ""),
        ({"spec": {"volumeName": "v"}}, "0", "", ""),
        ({"spec": {"volumeName": "v", "storageClassName": "new"}, "metadata": {"annotations": {
            "volume.beta.kubernetes.io/storage-class": "old"}}, "status": {"capacity": {"storage": "1Gi"}}},
         "1Gi", "", "old"),
    ],
)  # fmt: skip
def test_a_claim_shows_its_share_once_it_names_its_volume(claim, capacity, modes, named):
    row = shown("persistentvolumeclaims", claim)
    assert [row[each] for each in ("Capacity", "Access Modes", "StorageClass")] == [capacity, modes, named]


def test_an_events_source_is_put_together_from_both_ways_to_tell_it():
    assert shown("events", {"source": {"host": "h"}})["Source"] == ", h"
    assert shown("events", {"source": {"host": "h"}, "reportingComponent": "c"})["Source"] == "c, h"


def test_an_event():
    event = {
        "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"},
        "lastTimestamp": "2026-01-01T00:01:00Z",
        "firstTimestamp": BORN,
        "type": "Normal",
        "reason": "Started",
        "message": "hello\n",
        "source": {"component": "kubelet", "host": "node1"},
        "count": 3,
    }
    assert list(shown("events", event).values()) == [
        "30s",
        "Normal",
        "Started",
        "pod/p",
        "spec.containers{c}",
        "kubelet, node1",
        "hello",
        "90s",
        3,
        "x",
    ]


def test_a_selector_in_words():
    terms = [{"key": "tier", "operator": "In", "values": ["b", "a"]}, {"key": "x", "operator": "DoesNotExist"}]
    assert format_selector({"matchLabels": {"app": "w"}, "matchExpressions": terms}) == "app=w,tier in (a,b),!x"


SHOWN = [each for each in REGISTRY.all() if each.columns]  # access reviews are no tables


@pytest.mark.parametrize("resource", SHOWN, ids=lambda resource: resource.group_plural)
def test_every_column_is_described(resource):
    columns = table(resource, [], {}, "Metadata", NOW)["columnDefinitions"]
    assert all(column["description"] or column["name"] == "Handler" for column in columns)  # upstream's has none
