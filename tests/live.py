"""Pods on the running cluster, made and watched through kubectl; each test has a namespace of its own."""

import uuid
from contextlib import contextmanager

import yaml


@contextmanager
def fresh_namespace(cluster):
    """Give the name of a namespace that is there for one test."""
    name = "live-" + uuid.uuid4().hex[:6]
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def pod(name, *containers, node=None, **spec):
    """A pod of busybox containers, each given as its shell command."""
    listed = [
        {"name": f"c{number}", "image": "busybox:1.36", "command": ["sh", "-c", command]}
        for number, command in enumerate(containers)
    ]
    spec = {"containers": listed, "terminationGracePeriodSeconds": 1, **spec}
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def make(cluster, namespace, *objects, until="condition=Ready"):
    """Apply the objects and wait until each of the pods among them is so far."""
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=yaml.safe_dump_all(objects))
    for each in objects:
        if each["kind"] == "Pod":
            wait(cluster, namespace, each["metadata"]["name"], until)


def wait(cluster, namespace, name, until):
    cluster.kubectl("wait", "-n", namespace, f"--for={until}", f"pod/{name}", "--timeout=50s")


def field(cluster, namespace, name, path):
    return cluster.kubectl("get", "pod", name, "-n", namespace, "-o", f"jsonpath={{{path}}}")


def address(cluster, namespace, name):
    return field(cluster, namespace, name, ".status.podIP")


def logs(cluster, namespace, name, *options, check=True):
    return cluster.kubectl("logs", name, "-n", namespace, *options, check=check)


def follow(cluster, namespace, name, *options):
    """The lines of a pod's log, as they come."""
    with cluster.kubectl_in_background("logs", "-f", name, "-n", namespace, *options) as process:
        yield from process.stdout


def events(cluster, namespace):
    """What was told of the namespace's objects."""
    return cluster.kubectl("get", "events", "-n", namespace, "-o", r'jsonpath={range .items[*]}{.message}{"\n"}{end}')
