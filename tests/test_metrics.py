"""What nodes and pods use: the kubelet's figures, and kubectl top."""

import json

from labkit.glassbox import processes
from labkit.glassbox.apiserver.metrics import node_metrics, pod_metrics
from labkit.glassbox.kubelet.runtime import Actual, Container, Sandbox
from labkit.glassbox.kubelet.stats import Sample, Usage, prometheus
from tests.embedded import eventually
from tests.live import fresh_namespace, make, pod

SECTION = {"cpu": {"time": "2026-01-01T00:00:00Z", "usageNanoCores": 250_000_000}, "memory": {"workingSetBytes": 2048}}


def test_a_table_of_processes_knows_who_descends_from_whom():
    found = {pid: processes.Process(pid, parent, 1.0) for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 1))}
    table = processes.Table(found, {1: [2, 4], 2: [3]})
    assert sorted(each.pid for each in table.below(2)) == [2, 3]
    assert processes.cpu(table.below(1)) == 4.0
    assert [*table.below(9)] == []


def test_node_metrics_are_nanocores_and_kibibytes():
    node = {"metadata": {"name": "node1", "labels": {"a": "b"}}}
    assert node_metrics(node, {"node": SECTION}, 15.0) == {
        "metadata": {"name": "node1", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}},
        "timestamp": "2026-01-01T00:00:00Z",
        "window": "15.000s",
        "usage": {"cpu": "250000000n", "memory": "2Ki"},
    }


def test_pod_metrics_tell_of_each_container():
    told = {"podRef": {"name": "web", "namespace": "shop"}, "labels": {}, "containers": [{"name": "a", **SECTION}]}
    found = pod_metrics(told | SECTION, 0.2)
    assert (found["metadata"]["name"], found["window"]) == ("web", "1.000s")
    assert found["containers"] == [{"name": "a", "usage": {"cpu": "250000000n", "memory": "2Ki"}}]


def test_prometheus_reads_each_container_by_its_pod():
    container = Container("a", 0, "id", "busybox", "sha", "", started_at=5.0)
    actual = {"uid": Actual(Sandbox("uid", "shop", "web", "web", "10.244.1.2", 0), {"a": (container,)})}
    text = prometheus(Sample(7.0, Usage(3.0, 9), {"uid": Usage(2.0, 8)}, {"id": Usage(1.0, 7)}), actual)
    assert 'container_cpu_usage_seconds_total{container="a",namespace="shop",pod="web"} 1.0 7000\n' in text
    assert 'pod_memory_working_set_bytes{namespace="shop",pod="web"} 8 7000\n' in text
    assert "node_cpu_usage_seconds_total 3.0 7000\n" in text


def test_kubectl_top_shows_who_works_and_who_sleeps(cluster):
    with fresh_namespace(cluster) as namespace:
        busy = pod("busy", "while :; do :; done", "sleep 100") | {"metadata": {"name": "busy", "labels": {"app": "x"}}}
        make(cluster, namespace, busy, pod("idle", "sleep 100"))

        def shown(*options):
            lines = cluster.kubectl("top", "pods", "-n", namespace, "--no-headers", *options, check=False).stdout
            return [line.split() for line in lines.splitlines()]

        rows = eventually(lambda: (found := shown()) and len(found) == 2 and found, within=40, every=1)
        cores = {name: int(cpu.removesuffix("m")) for name, cpu, _ in rows}
        assert cores["busy"] > 200 > 20 > cores["idle"]
        assert {row[1] for row in shown("--containers")} == {"c0", "c1"}
        assert [row[0] for row in shown("-l", "app=x")] == ["busy"]
        nodes = cluster.kubectl("top", "nodes", "--no-headers").split()
        assert (nodes[0], nodes[2][-1]) == ("node1", "%")
        asked = cluster.kubectl("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/idle")
        assert json.loads(asked)["kind"] == "PodMetrics"
        missing = cluster.kubectl("top", "pod", "none", "-n", namespace, check=False).stderr
        assert missing == 'Error from server (NotFound): pods "none" not found\n'
