"""Pods that take too much of the disk, or of a node that runs short, are evicted in upstream's words."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml

from labkit.glassbox.kubelet import eviction, node_status
from labkit.glassbox.kubelet.eviction import Use
from labkit.glassbox.kubelet.runtime import Actual, Container
from labkit.glassbox.kubelet.stats import Sample, Usage
from tests.live import events, field, fresh_namespace, pod, wait

MIB = 2**20


def asking(name, *, priority=0, requests=None, limits=None, volumes=()):
    resources = {"requests": requests or {}, "limits": limits or {}}
    spec = {"priority": priority, "containers": [{"name": "web", "resources": resources}], "volumes": list(volumes)}
    return {"metadata": {"name": name}, "spec": spec}


def test_an_empty_directory_has_its_limit():
    limited = asking("p", volumes=[{"name": "x", "emptyDir": {"sizeLimit": "10Mi"}}])
    assert eviction.has_storage_limits(limited)
    assert eviction.exceeded(limited, {"x": 10 * MIB}, {}) is None
    assert eviction.exceeded(limited, {"x": 11 * MIB}, {}) == 'Usage of EmptyDir volume "x" exceeds the limit "10Mi". '


def test_all_that_a_pod_writes_counts_against_its_containers_limits():
    limited = asking("p", limits={"ephemeral-storage": "2Mi"}, volumes=[{"name": "x", "emptyDir": {}}])
    told = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "
    assert eviction.exceeded(limited, {"x": MIB}, {"web": 2 * MIB}) == told
    assert not eviction.has_storage_limits(asking("p", volumes=[{"name": "x", "emptyDir": {}}]))


def test_a_container_alone_may_exceed_its_limit():
    limited = asking("p", limits={"ephemeral-storage": "2Mi"})
    limited["spec"]["containers"].append({"name": "free"})
    told = 'Container web exceeded its local ephemeral storage limit "2Mi". '
    assert eviction.exceeded(limited, {}, {"web": 3 * MIB, "free": 9 * MIB}) == told


def test_who_uses_more_than_asked_goes_first_then_the_least_important():
    modest = Use(asking("modest", requests={"memory": "1Gi"}), 900 * MIB, {})
    greedy, more = Use(asking("greedy"), 10 * MIB, {}), Use(asking("more"), 20 * MIB, {})
    important = Use(asking("important", priority=7), 99 * MIB, {})
    ranked = eviction.rank([modest, important, greedy, more], "memory")
    assert [each.pod["metadata"]["name"] for each in ranked] == ["more", "greedy", "important", "modest"]


def test_the_message_names_what_was_short_and_who_used_it():
    use = Use(asking("p", requests={"memory": "8Mi"}), 64 * MIB, {"web": 64 * MIB})
    assert eviction.pressure(use, "memory", 100 * MIB, 53 * MIB) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 53Mi. "
        "Container web was using 64Mi, request is 8Mi, has larger consumption of memory. "
    )


def test_a_node_is_short_of_what_falls_below_its_threshold():
    host = node_status.Host(1, 2**30, 99 * MIB, 2**40, 2**31, "", "", "", "")
    assert node_status.pressures(host) == (True, False)


def test_a_condition_that_turns_is_told_of_once():
    fine = node_status.Host(1, 2**40, 2**39, 2**50, 2**49, "", "", "", "")
    short = replace(fine, memory_available=99 * MIB, disk_free=MIB)
    before, after = (node_status.status_of("n", "10.0.0.1", host, {}, 0.0)["conditions"] for host in (fine, short))
    assert node_status.news(before, before) == []
    assert node_status.news(before, after) == ["NodeHasInsufficientMemory", "NodeHasDiskPressure"]
    assert node_status.news(after, before) == ["NodeHasSufficientMemory", "NodeHasNoDiskPressure"]
    disk = next(each for each in after if each["type"] == "DiskPressure")
    assert (disk["reason"], disk["message"]) == ("KubeletHasDiskPressure", "kubelet has disk pressure")


def test_a_disk_of_a_size_of_its_own_is_filled_by_what_lies_in_the_nodes_directory(tmp_path):
    (tmp_path / "pods").mkdir()
    (tmp_path / "pods" / "file").write_bytes(bytes(MIB))
    (tmp_path / "pods" / "inode").touch()
    host = node_status.read_host(tmp_path, 64 * MIB)
    assert (host.disk, host.disk_free) == (64 * MIB, 63 * MIB - 2 * 4096)


@pytest.mark.parametrize(("memory", "seconds"), [(2**40, 10.0), (100 * MIB + 2 * 2**30, 1.0), (0, 0.5)])
def test_the_less_is_left_the_sooner_it_is_looked_at(memory, seconds):
    assert eviction.patience(node_status.Host(1, 2**40, memory, 2**50, 2**49, "", "", "", "")) == seconds


def test_a_pod_that_overfills_its_volume_is_evicted(cluster):
    with fresh_namespace(cluster) as namespace:
        command = "dd if=/dev/zero of=/v/file bs=1M count=12 2>/dev/null; sleep 1000"
        filler = pod("filler", command, volumes=[{"name": "v", "emptyDir": {"sizeLimit": "10Mi"}}])
        filler["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
        cluster.kubectl("apply", "-n", namespace, "-f", "-", input=yaml.safe_dump(filler))
        wait(cluster, namespace, "filler", "jsonpath={.status.reason}=Evicted")
        told = 'Usage of EmptyDir volume "v" exceeds the limit "10Mi". '
        assert field(cluster, namespace, "filler", ".status.phase") == "Failed"
        assert field(cluster, namespace, "filler", ".status.message") == told
        assert told in events(cluster, namespace)
        reason = field(cluster, namespace, "filler", ".status.conditions[?(@.type=='DisruptionTarget')].reason")
        assert reason == "TerminationByKubelet"


class Silence:
    """Takes whatever it is told."""

    def __getattr__(self, name):
        return lambda *args, **named: None


def test_a_node_short_of_memory_evicts_one_pod_and_waits_for_what_that_frees():
    clock = SimpleNamespace(now=lambda: 100.0)
    around = SimpleNamespace(clock=clock, warn=Silence().warn, api=Silence())
    greedy, modest = asking("greedy"), asking("modest")
    system = asking("system", priority=eviction.CRITICAL)
    for each in (greedy, modest, system):
        each["metadata"]["uid"] = each["metadata"]["namespace"] = each["metadata"]["name"]
    container = {name: Container("web", 0, name, "", "", "") for name in ("greedy", "modest", "system")}
    actual = {name: Actual(containers={"web": (found,)}) for name, found in container.items()}
    usage = {name: Usage(0.0, size * MIB) for name, size in (("greedy", 9), ("modest", 3), ("system", 99))}
    stats = SimpleNamespace(sample=lambda: (Sample(100.0, Usage(0, 0), usage, usage), actual))
    condemned = []
    short = node_status.Host(1, 2**30, 50 * MIB, 2**40, 2**39, "", "", "", "")
    pods = [modest, greedy, system]
    evictor = eviction.Evictor(around, lambda: pods, stats, lambda uid, _: condemned.append(uid), lambda: short)
    evictor.relieve(short)
    evictor.relieve(short)
    assert condemned == ["greedy"]
