"""A job that has ended goes when its time is up."""

import pytest

from labkit.glassbox import clock
from tests.components import client, controllers
from tests.embedded import eventually


@pytest.fixture(scope="module")
def api(api_server):
    with controllers(api_server.kubeconfig, "ttl-after-finished-controller", "garbage-collector-controller"):
        yield client(api_server)


def job(api, namespace, name, ttl):
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1.36", "command": ["true"]}]}
    spec = {"template": {"spec": pod}, **({} if ttl is None else {"ttlSecondsAfterFinished": ttl})}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    return clock.parse(api.create("jobs", body)["metadata"]["creationTimestamp"])


def finish(api, namespace, name, at):
    when = clock.rfc3339(at)
    kinds = ("SuccessCriteriaMet", "Complete")
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": when} for kind in kinds]
    status = {"conditions": conditions, "startTime": when, "completionTime": when}
    api.patch("jobs", name, namespace, {"status": status}, subresource="status")


def jobs(api, namespace):
    return {each["metadata"]["name"] for each in api.list("jobs", namespace)["items"]}


def test_a_job_goes_when_its_time_is_up_and_no_other(api, namespace):
    made = {
        name: job(api, namespace, name, ttl) for name, ttl in (("due", 60), ("soon", 3600), ("kept", None), ("runs", 0))
    }
    for name in ("due", "soon", "kept"):
        finish(api, namespace, name, made[name] - 60)
    eventually(lambda: jobs(api, namespace) == {"soon", "kept", "runs"})
    api.patch("jobs", "soon", namespace, {"spec": {"ttlSecondsAfterFinished": 1}})
    eventually(lambda: jobs(api, namespace) == {"kept", "runs"})
