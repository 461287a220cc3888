"""Components under test: processes of their own, as the supervisor starts them, against one API server."""

import contextlib
import signal
import subprocess
import sys

from labkit.glassbox.client import Client


@contextlib.contextmanager
def running(module, kubeconfig, *options):
    """Run `python -m module` while the block runs; it must stop on SIGTERM and must not have failed before."""
    command = [sys.executable, "-m", module, "--kubeconfig", str(kubeconfig), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=10)
    assert process.returncode in (0, -signal.SIGTERM), told  # the latter: the test was over before it had begun
    assert "Traceback" not in told, told


def controllers(kubeconfig, *names, options=()):
    """Run some controllers of the controller manager."""
    return running("labkit.glassbox.controllers", kubeconfig, "--controllers", ",".join(names), *options)


def scheduler(kubeconfig, *options):
    return running("labkit.glassbox.scheduler", kubeconfig, "--seed", "1", *options)


def client(server) -> Client:
    """Return a component's client of an API server or a cluster."""
    return Client.from_kubeconfig(server.kubeconfig, user_agent="test")


def pod(name, namespace, *, labels=None, node="", spec=None, metadata=None):
    """Return a pod of one container that asks for nothing."""
    own = {"containers": [{"name": "c", "image": "busybox:1.36"}], **({"nodeName": node} if node else {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {"app": name}, **(metadata or {})},
        "spec": {**own, **(spec or {})},
    }


def workload(kind, name, namespace, replicas, *, command=("sleep", "1000"), spec=None, image="busybox:1.36"):
    """Return a Deployment or ReplicaSet of pods that stop at once when they are told to."""
    container = {"name": "c", "image": image, "command": list(command)}
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template,
            **(spec or {}),
        },
    }


def become_ready(api, pod):
    """Say of a pod what its kubelet would say when it runs and is ready."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"status": {"phase": "Running", "conditions": [ready]}}
    api.patch("pods", name, namespace, status, kind="strategic", subresource="status")


def names(objects):
    return {each["metadata"]["name"] for each in objects}


def events(api, namespace, name):
    """Return (reason, message) of the events about an object, in order of their writing."""
    found = api.list("events", namespace, field_selector=f"involvedObject.name={name}")["items"]
    found.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    return [(event["reason"], event["message"]) for event in found]
