"""The cluster taken apart, as lesson 07 does: one component stopped at a time, and what others notice of it."""

import json
import re

import pytest

from tests.embedded import EmbeddedCluster, eventually
from tests.lessons import manifests

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

FILES = manifests("07")
UNREACHABLE = "node.kubernetes.io/unreachable"


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A cluster of two nodes, given up soon, that these tests may break; web runs on both, visitor on node1."""
    own = EmbeddedCluster(tmp_path_factory.mktemp("apart"))
    up = own.up("--profile", "fast")
    assert up.returncode == 0, up.stdout + up.stderr
    for file in ("web-service.yaml", "web.yaml"):
        own.kubectl("apply", "-f", str(FILES / file))
    own.kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=50s")
    own.kubectl("apply", "-f", str(FILES / "visitor.yaml"))
    own.kubectl("wait", "--for=condition=Ready", "pod/visitor", "--timeout=50s")
    yield own
    own.down()
    own.unpin()


@pytest.fixture
def without(broken):
    """Stop components; they are started again after the test, and web is whole again."""
    stopped = []

    def stop(*components):
        for component in components:
            assert broken.labkit("stop", component, "--name", broken.name).returncode == 0
            stopped.append(component)

    yield stop
    for component in stopped:
        assert broken.labkit("start", component, "--name", broken.name).returncode == 0
    eventually(lambda: broken.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok", within=30)
    broken.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=50s")
    eventually(lambda: len(web(broken)) == 2 and all(ready(each) for each in web(broken)), within=30)


def items(cluster, *what):
    return json.loads(cluster.kubectl("get", *what, "-o", "json"))["items"]


def web(cluster):
    return [each for each in items(cluster, "pods", "-l", "app=web") if "deletionTimestamp" not in each["metadata"]]


def ready(obj):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in obj["status"].get("conditions") or [])


def ask(cluster, url):
    done = cluster.kubectl("exec", "visitor", "--", "wget", "-qO-", "-T", "2", f"http://{url}:8080", check=False)
    return done.stdout.strip()


def counted(cluster):
    """What the visitor has counted so far: answers, failures."""
    line = cluster.kubectl("logs", "visitor", "--tail=1")
    return [int(number) for number in re.findall(r"\d+", line)]


def test_without_a_scheduler_a_pod_stays_pending_and_with_it_the_pod_runs(broken, without):
    without("scheduler")
    broken.kubectl("apply", "-f", str(FILES / "lost.yaml"))
    # Others go on: a deployment that is made later has its pods, all but the node.
    broken.kubectl("scale", "deployment", "web", "--replicas=3")
    (late,) = eventually(lambda: [each for each in web(broken) if "nodeName" not in each["spec"]])
    (lost,) = items(broken, "pods", "--field-selector=metadata.name=lost")
    assert late["status"]["phase"] == lost["status"]["phase"] == "Pending"
    assert "nodeName" not in lost["spec"]
    assert broken.labkit("start", "scheduler", "--name", broken.name).returncode == 0
    broken.kubectl("wait", "--for=condition=Ready", "pod/lost", "--timeout=50s")
    broken.kubectl("delete", "pod", "lost")
    broken.kubectl("scale", "deployment", "web", "--replicas=2")


def test_without_a_scheduler_a_binding_by_hand_is_enough(broken, without):
    without("scheduler")
    broken.kubectl("apply", "-f", str(FILES / "by-hand.yaml"))
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "by-hand"}}
    target = {"apiVersion": "v1", "kind": "Node", "name": "node2"}
    where = "/api/v1/namespaces/default/pods/by-hand/binding"
    broken.kubectl("create", "--raw", where, "-f", "-", input=json.dumps({**binding, "target": target}))
    broken.kubectl("wait", "--for=condition=Ready", "pod/by-hand", "--timeout=50s")
    (pod,) = items(broken, "pods", "--field-selector=metadata.name=by-hand")
    assert pod["spec"]["nodeName"] == "node2"
    broken.kubectl("delete", "pod", "by-hand")


def test_without_the_controller_manager_a_deleted_pod_is_not_replaced(broken, without):
    without("controller-manager")
    broken.kubectl("delete", "pod", web(broken)[0]["metadata"]["name"])
    # The scheduler and the kubelets work meanwhile: a pod made by hand runs before the missing one is there.
    broken.kubectl("apply", "-f", str(FILES / "lost.yaml"))
    broken.kubectl("wait", "--for=condition=Ready", "pod/lost", "--timeout=50s")
    assert len(web(broken)) == 1
    (deployment,) = items(broken, "deployments")
    assert deployment["status"]["readyReplicas"] == 2  # nobody has counted since
    broken.kubectl("delete", "pod", "lost")


def test_without_kube_proxy_the_virtual_address_leads_to_pods_that_are_gone(broken, without):
    address = items(broken, "services", "-l", "!provider")[0]["spec"]["clusterIP"]
    without("kube-proxy@node1", "kube-proxy@node2")
    broken.kubectl("delete", "pods", "-l", "app=web")
    new = eventually(lambda: all(map(ready, web(broken))) and len(web(broken)) == 2 and web(broken), within=30)
    assert ask(broken, new[0]["status"]["podIP"]) == new[0]["metadata"]["name"]
    assert ask(broken, address) == ""
    for node in ("node1", "node2"):
        broken.labkit("start", f"kube-proxy@{node}", "--name", broken.name)
    eventually(lambda: ask(broken, address) in [each["metadata"]["name"] for each in new], within=30)


def test_without_dns_names_fail_and_addresses_work(broken, without):
    address = items(broken, "services", "-l", "!provider")[0]["spec"]["clusterIP"]
    names = [each["metadata"]["name"] for each in web(broken)]
    assert ask(broken, "web") in names
    without("dns")
    assert ask(broken, "web") == ""
    assert ask(broken, address) in names


def test_the_workload_does_not_notice_that_the_api_server_was_away(broken, without):
    answers, failures = counted(broken)
    without("api-server")
    assert broken.kubectl("get", "pods", "--request-timeout=1s", check=False).returncode == 1
    assert broken.labkit("start", "api-server", "--name", broken.name).returncode == 0
    eventually(lambda: broken.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok", within=30)
    after = counted(broken)
    assert after[0] > answers
    assert after[1] == failures


def test_without_a_kubelet_the_node_is_not_ready_and_its_pods_start_elsewhere(broken, without):
    (there,) = [each for each in web(broken) if each["spec"]["nodeName"] == "node2"] or [None]
    answers, failures = counted(broken)
    without("kubelet@node2")
    if there:
        assert ask(broken, there["status"]["podIP"]) == there["metadata"]["name"]  # its containers go on
    broken.kubectl("wait", "--for=condition=Ready=Unknown", "node/node2", "--timeout=50s")
    eventually(lambda: {each["spec"].get("nodeName") for each in web(broken) if ready(each)} == {"node1"}, within=30)
    node = json.loads(broken.kubectl("get", "node", "node2", "-o", "json"))
    assert (UNREACHABLE, "NoExecute") in [(each["key"], each["effect"]) for each in node["spec"]["taints"]]
    after = counted(broken)
    assert after[0] > answers
    assert after[1] == failures


def test_a_component_that_was_stopped_stays_so_until_it_is_started(broken, without):
    without("scheduler")
    assert broken.component("scheduler")["state"] == "stopped"
    broken.labkit("start", "scheduler", "--name", broken.name)
    assert broken.component("scheduler")["state"] == "running"


def test_a_node_that_others_hold_for_lost_says_at_its_next_heartbeat_that_it_is_not(broken):
    lost = [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]
    patch = json.dumps({"status": {"conditions": lost}})
    broken.kubectl("patch", "node", "node1", "--subresource=status", "--type=strategic", "-p", patch)
    broken.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=20s")
