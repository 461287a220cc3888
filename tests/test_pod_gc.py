"""Pods that nobody else would delete: of nodes that are gone or given up, and too many that have ended."""

import pytest

from labkit.glassbox.controllers.pod_gc import PodGarbageCollector, is_given_up, surplus
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import inform
from tests.components import become_ready, client, names, pod
from tests.embedded import eventually


def ended(name, created, phase="Succeeded"):
    return {"metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": phase}}


def test_the_oldest_of_those_that_ended_are_too_many():
    pods = [ended("b", "2026-01-02T00:00:00Z"), ended("a", "2026-01-01T00:00:00Z"), ended("runs", "2025", "Running")]
    assert names(surplus(pods, 1)) == {"a"}
    assert surplus(pods, 2) == []


@pytest.mark.parametrize(
    ("ready", "tainted", "given_up"), [("True", True, False), ("Unknown", True, True), ("Unknown", False, False)]
)
def test_a_node_is_given_up_by_a_taint_while_it_is_not_ready(ready, tainted, given_up):
    taints = [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}] if tainted else []
    node = {"spec": {"taints": taints}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}
    assert is_given_up(node) is given_up


@pytest.fixture
def collector(api_server):
    """A collector that looks when the test says so, at the time that the test says."""
    api = client(api_server)
    cache = inform(api, "nodes", "pods")
    controller = PodGarbageCollector(api, cache, EventRecorder(api, "pod-garbage-collector"))
    for informer in cache.values():
        informer.start()
        informer.wait_for_sync()
    yield controller
    for informer in cache.values():
        informer.stop()


def place(collector, namespace, name, node):
    made = collector.api.create("pods", pod(name, namespace, node=node))
    become_ready(collector.api, made)
    eventually(
        lambda: (collector.cache["pods"].get(f"{namespace}/{name}") or {}).get("status", {}).get("phase") == "Running"
    )


def test_a_node_that_is_gone_takes_its_pods_with_it_after_a_while(collector, namespace):
    place(collector, namespace, "stray", "nowhere")
    start = collector.now()
    watch = collector.api.watch("pods", namespace, resource_version=collector.cache["pods"].version)
    for now in (start, start + 39):
        collector.now = lambda now=now: now
        collector.reconcile("nowhere")
        assert names(collector.api.list("pods", namespace)["items"]) == {"stray"}
    collector.now = lambda: start + 41
    collector.reconcile("nowhere")
    assert collector.api.list("pods", namespace)["items"] == []
    changes = iter(watch)
    type, marked = next(changes)
    [condition] = [each for each in marked["status"]["conditions"] if each["type"] == "DisruptionTarget"]
    assert (type, marked["status"]["phase"]) == ("MODIFIED", "Failed")
    assert (condition["reason"], condition["message"]) == ("DeletionByPodGC", "PodGC: node no longer exists")
    watch.stop()


def test_a_node_that_comes_back_keeps_its_pods(collector, namespace):
    place(collector, namespace, "early", "late")
    start = collector.now()
    collector.now = lambda: start
    collector.reconcile("late")
    collector.api.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "late"}})
    eventually(lambda: collector.cache["nodes"].get("late"))
    collector.now = lambda: start + 60
    collector.reconcile("late")
    assert names(collector.api.list("pods", namespace)["items"]) == {"early"}
    collector.api.delete("nodes", "late")


def test_pods_that_are_going_on_a_node_given_up_are_gone_at_once(collector, namespace):
    taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "dead"}, "spec": {"taints": [taint]}}
    collector.api.create("nodes", node)
    place(collector, namespace, "going", "dead")
    place(collector, namespace, "staying", "dead")
    collector.api.delete("pods", "going", namespace)
    going = collector.cache["pods"]
    eventually(
        lambda: (
            "deletionTimestamp" in going.get(f"{namespace}/going")["metadata"] and collector.cache["nodes"].get("dead")
        )
    )
    collector.reconcile("dead")
    assert names(collector.api.list("pods", namespace)["items"]) == {"staying"}
    collector.api.delete("nodes", "dead")
