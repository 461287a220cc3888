"""Pods on a running cluster, seen through kubectl: who reaches whom, and what a killed process costs."""

import os
import signal
from pathlib import Path

import pytest
from kubernetes import client, config, watch

from tests.embedded import eventually
from tests.live import address, events, field, follow, fresh_namespace, make, pod, wait

pytestmark = pytest.mark.cluster

SERVER = "exec httpd -f -v -p 8080 -h /etc"  # -v: says on standard error who asked


@pytest.fixture
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        yield name


@pytest.mark.parametrize("client_node", ["node1", "node2"])
def test_a_server_sees_the_address_of_the_pod_that_asks(cluster, namespace, client_node):
    make(cluster, namespace, pod("server", SERVER, node="node1"))
    asked = f"http://{address(cluster, namespace, 'server')}:8080/hostname"
    client = pod("client", f"wget -qO- {asked}; sleep 1000", node=client_node)
    make(cluster, namespace, client)
    seen = next(line for line in follow(cluster, namespace, "server") if "hostname" in line)
    assert address(cluster, namespace, "client") in seen


def test_containers_of_a_pod_meet_on_localhost(cluster, namespace):
    ask = "until wget -qO- http://localhost:8080/hostname; do sleep 0.1; done; sleep 1000"
    make(cluster, namespace, pod("pair", SERVER, ask))
    logged = cluster.kubectl_in_background("logs", "-f", "pair", "-c", "c1", "-n", namespace)
    with logged as process:
        assert any(line.strip() == "pair" for line in process.stdout)


def test_the_second_container_to_take_a_port_fails_with_its_log(cluster, namespace):
    late = f"sleep 0.5; {SERVER}"
    make(
        cluster, namespace, pod("clash", SERVER, late, restartPolicy="Never"), until="jsonpath={.status.phase}=Running"
    )
    wait(cluster, namespace, "clash", "jsonpath={.status.containerStatuses[1].state.terminated.reason}=Error")
    assert "Address already in use" in cluster.kubectl("logs", "clash", "-c", "c1", "-n", namespace)


def test_containers_of_a_pod_share_host_name_and_shared_memory(cluster, namespace):
    write = "hostname > /dev/shm/name; sleep 1000"
    read = 'until [ "$(cat /dev/shm/name 2>/dev/null)" = "$(hostname)" ]; do sleep 0.1; done'
    shared = pod("shared", write, read, restartPolicy="Never")
    make(cluster, namespace, shared, until="jsonpath={.status.containerStatuses[1].state.terminated.reason}=Completed")


def test_a_pod_deleted_while_it_starts_starts_no_further(cluster, namespace):
    core = client.CoreV1Api(config.new_client_from_config(str(cluster.kubeconfig)))
    before = core.create_namespaced_pod(namespace, pod("many", *["sleep 1000"] * 40)).metadata.resource_version
    core.delete_namespaced_pod("many", namespace)
    since = {"resource_version": before, "field_selector": "metadata.name=many", "timeout_seconds": 50}
    told = watch.Watch().stream(core.list_namespaced_pod, namespace, **since)
    last = next(each["object"].status.container_statuses or [] for each in told if each["type"] == "DELETED")
    assert sum(each.state.terminated is not None for each in last) < 40


def test_a_pod_that_ends_at_once_is_not_told_of_as_running(cluster, namespace):
    phases = r'jsonpath={.status.phase}{"\n"}'
    with cluster.kubectl_in_background("get", "pods", "-n", namespace, "-w", "-o", phases) as shown:
        cluster.kubectl("run", "once", "-n", namespace, "--image=busybox", "--restart=Never", "--", "true")
        seen = []
        for line in shown.stdout:
            seen.append(line.strip())
            if seen[-1] == "Succeeded":
                break
    assert set(seen) == {"Pending", "Succeeded"}


def test_a_dead_pause_process_costs_the_containers_a_restart(cluster, namespace):
    make(cluster, namespace, pod("held", "sleep 1000"))
    container = field(cluster, namespace, "held", ".status.containerStatuses[0].containerID")
    os.kill(pause_of(field(cluster, namespace, "held", ".metadata.uid")), signal.SIGKILL)
    wait(cluster, namespace, "held", "jsonpath={.status.containerStatuses[0].restartCount}=1")
    wait(cluster, namespace, "held", "condition=Ready")
    assert field(cluster, namespace, "held", ".status.containerStatuses[0].containerID") != container
    assert "Pod sandbox changed, it will be killed and re-created." in events(cluster, namespace)


def pause_of(uid):
    """The host's number of the pod's pause process, which carries the pod's UID in its title."""
    title = f"pause {uid}".encode()
    return next(int(entry.name) for entry in Path("/proc").glob("[0-9]*") if title_of(entry).startswith(title))


def title_of(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


def test_killed_components_leave_running_pods_alone(cluster, namespace):
    make(cluster, namespace, pod("steady", "sleep 1000"))
    path = ".status.containerStatuses[0]['restartCount','containerID']"
    before = field(cluster, namespace, "steady", path)
    for component in ("kubelet@node1", "kubelet@node2", "scheduler", "controller-manager", "api-server"):
        killed = cluster.component(component)["pid"]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda name=component, old=killed: cluster.component(name)["pid"] not in (0, old), within=1)
    make(cluster, namespace, pod("after", "sleep 1000"))
    assert field(cluster, namespace, "steady", path) == before
