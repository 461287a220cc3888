"""Whether a node takes a pod that was bound to it."""

import pytest

from labkit.glassbox.kubelet.predicates import rejection

NODE = {
    "metadata": {"name": "node1", "labels": {"disk": "ssd"}},
    "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "2"}},
}


def pod(cpu="0", port=None, **spec):
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    if port:
        container["ports"] = [{"containerPort": port, "hostPort": port}]
    return {"metadata": {"name": "p"}, "spec": {"containers": [container], **spec}}


def test_a_pod_that_fits_is_taken():
    assert rejection(pod("600m", nodeSelector={"disk": "ssd"}), NODE, [pod("400m")]) is None


@pytest.mark.parametrize(
    ("wanted", "others", "reason", "message"),
    [
        (
            pod("600m"),
            [pod("500m")],
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 600, used: 500, capacity: 1000",
        ),
        (
            pod(),
            [pod(), pod()],
            "OutOfpods",
            "Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2",
        ),
        (
            pod(nodeSelector={"disk": "floppy"}),
            [],
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            pod(port=80),
            [pod(port=80)],
            "NodePorts",
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        ),
    ],
)
def test_a_pod_that_the_node_does_not_take_fails(wanted, others, reason, message):
    found = rejection(wanted, NODE, others)
    assert (found.reason, found.message) == (reason, message)
